"""Parts of a plan's page: the stage graph and its layout, the memory timeline, tables, markup."""
