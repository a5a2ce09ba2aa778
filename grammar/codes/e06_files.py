"""E06xx: files: checkpoints, recipes and plans that can't be found, read or trusted."""

from __future__ import annotations

from .code import Code

CODES = (
    Code(
        "E0601",
        "no such model here",
        "`org/name` is looked for in the mirrors (`--models`) and in the Hugging Face cache; a "
        "path begins with `./`, `../`, `/` or `~` and is relative to the recipe.",
        "Correct the reference, or fetch the model.",
        'save "" to "./out"',
        'save "a/one" to "./out"',
    ),
    Code(
        "E0602",
        "a checkpoint without its files",
        "A folder of a checkpoint holds `.safetensors` files: one, or several and an index.",
        "Fetch what is missing.",
    ),
    Code(
        "E0603",
        "the system refuses a file",
        "A file can't be opened, read or written; the message gives the system's reason.",
        "Check the path and its permissions.",
    ),
    Code(
        "E0604",
        "a format that isn't supported",
        "Weights are read from safetensors and from archives of torch.save.",
        "Save the model so, for example with transformers' `save_pretrained`.",
    ),
    Code(
        "E0605",
        "an input that can't be read while running",
        "It was there when the plan was made: it has changed since, or the disk fails.",
        "Plan again.",
    ),
    Code(
        "E0606",
        "an output that can't be written while running",
        "The message gives the system's reason.",
        "What was there before is untouched; run again when it is repaired.",
    ),
    Code(
        "E0607",
        "a recipe that can't be read",
        "A recipe is a file of UTF-8 text.",
        "Check its path.",
    ),
    Code(
        "E0608",
        "NaN or infinity in an input",
        "They would spread through the merge unseen.",
        '`set nonfinite = allow` (in Python `nonfinite="allow"`) merges all the same.',
    ),
    Code(
        "E0609",
        "a tensor that can't be merged",
        "A function of whole tensors, such as a singular value decomposition, has failed on it.",
        "The message gives its reason.",
    ),
    Code(
        "E0611",
        "a link out of a checkpoint",
        "A tokenizer or another small file is a link to somewhere else, which would be copied from "
        "there into the output. Links of a Hugging Face cache within the cache are followed.",
        "Put the file itself there, if it belongs to the model.",
    ),
    Code(
        "E0612",
        "a config that no file can hold",
        "Its text has half a surrogate pair, which isn't a character.",
        "Correct the base's config.json.",
    ),
    Code(
        "E0620",
        "not a plan file",
        "A `.mplan` file is cut off, damaged, changed by hand, or something else.",
        "Plan again.",
    ),
    Code(
        "E0621",
        "a plan of another version",
        "Only the mergec that made a plan runs it.",
        "Plan again.",
    ),
    Code(
        "E0622",
        "the recipe has changed since it was planned",
        "A plan file runs exactly what was planned.",
        "Plan again, and look at what is different.",
    ),
    Code(
        "E0623",
        "sources have changed since they were planned",
        "A plan file runs exactly what was planned.",
        "Plan again, and look at what is different.",
    ),
    Code(
        "E0624",
        "the recipe doesn't compile to its plan any more",
        "Something else than its text has changed, such as a file that it imports.",
        "Plan again.",
    ),
    Code(
        "E0630",
        "a model that the Hub doesn't show",
        "It has another name, is private, or was removed.",
        "Correct the name; a private model needs `hf auth login` or HF_TOKEN.",
    ),
    Code(
        "E0631",
        "a gated model",
        "Its owners ask their readers to accept a licence first.",
        "Accept it on the model's page, and log in with `hf auth login` or HF_TOKEN.",
    ),
    Code(
        "E0632",
        "the Hub can't be reached",
        "There is no network, the server has trouble, or it limits the rate of requests.",
        "Try again later, check HF_ENDPOINT, or use `--offline` with models that are here.",
    ),
    Code(
        "E0633",
        "offline, and a file isn't on this machine",
        "`--offline` and HF_HUB_OFFLINE ask the Hub nothing.",
        "Run once without them, or fetch the file with `hf download`.",
    ),
    Code(
        "E0634",
        "no room for a model that is fetched",
        "Models of the Hub are fetched into the Hugging Face cache, whose disk is full.",
        "Free some, let HF_HOME name another disk, or keep no copy: `--stream`.",
    ),
    Code(
        "E0635",
        "no such revision of a model",
        "`org/name@revision` names a branch, a tag or a commit.",
        "Correct it: the model's page lists them.",
    ),
    Code(
        "E0636",
        "an address that can't be read",
        "Models are read from `https://`, `s3://` and `gs://`, and from no other kind of address.",
        "Correct the address.",
    ),
    Code(
        "E0640",
        "an optional library is missing",
        "Chatting, and gates made from prompts, need transformers.",
        "`pip install 'mergec[transformers]'`.",
    ),
    Code(
        "E0641",
        "the card's template can't be used",
        "It can't be read, or isn't Jinja, or uses a name that cards don't have.",
        "The message names what it can use.",
    ),
    Code(
        "E0642",
        "transformers can't load a folder",
        "It isn't a language model's, or not one that this transformers knows.",
        "Give the folder of an output; a newer transformers knows more.",
    ),
    Code(
        "E0643",
        "this isn't a repository's name",
        "Models are pushed to `org/name`, or to a branch of it, `org/name@branch`.",
        "Correct the name.",
    ),
    Code(
        "E0644",
        "a folder that is no finished output",
        "Only what a run has finished is pushed: it has a mergec.json.",
        "Push the folder that the run has printed.",
    ),
    Code(
        "E0645",
        "nobody is logged in to the Hub",
        "Writing needs a token that may write.",
        "`hf auth login`, or set HF_TOKEN.",
    ),
    Code(
        "E0646",
        "the Hub doesn't take an output",
        "There is no network, the token may not write there, or the server has trouble.",
        "Do it again: what is there already isn't uploaded again.",
    ),
    Code(
        "E0647",
        "a repository that holds something",
        "What others have published is only added to where that was asked for.",
        "Write to a branch with `--revision NAME`, or say `--yes`.",
    ),
    Code(
        "W0640",
        "the licence of a merge needs a person",
        "The parents' licences don't go together.",
        'Say it: `save … { license = "…" }`.',
    ),
    Code(
        "E0637",
        "an address that doesn't answer",
        "A web server or an object store can't be reached, or refuses.",
        "Check the address, the network, and the credentials of its store.",
    ),
    Code(
        "E0650",
        "an output that isn't complete",
        "It is finished only when every tensor of it is accounted for.",
        "Run the recipe again: it goes on where it stopped.",
    ),
    Code(
        "E0651",
        "a source that has changed during the run",
        "What was made of it before and after wouldn't fit together; nothing is committed.",
        "Run again: what hangs on that source is made again.",
    ),
    Code(
        "E0652",
        "an output that isn't what was written",
        "A file or a tensor is missing, or differs from what mergec.json has recorded.",
        "Run its recipe again: only what is damaged is computed.",
    ),
    Code(
        "E0653",
        "weights that aren't as config.json says",
        "Loaders believe the config: layers, the head or rows of the vocabulary would be lost.",
        "Correct the config, or the weights.",
    ),
    Code(
        "E0654",
        "a tensor that holds NaN or infinity",
        "It spreads through everything that is computed with it.",
        "Find the source that brought it in: `mergec explain OUT TENSOR` names them.",
    ),
    Code(
        "E0655",
        "an output that doesn't say what it is made of",
        "Only outputs of mergec do, in mergec.json.",
        "Run its recipe again.",
    ),
    Code(
        "E0656",
        "sources that aren't those of the lock file",
        "RECIPE.lock says which files a recipe's sources are; these are others.",
        "Fetch the locked ones, or move the lock with `--update-lock`.",
    ),
    Code(
        "E0657",
        "not a lock file",
        "It is damaged, of another version, or something else.",
        "Make it again: `mergec lock RECIPE`.",
    ),
)
