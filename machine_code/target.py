"""LLVM IR -> object code or assembly, for this machine's processor or a named one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

_SPEED = 2
"""How hard LLVM tries: what it does beyond is for loops that it vectorises, of which there are none
here."""


@dataclass(frozen=True)
class Processor:
    """A processor as LLVM knows it: its name, and the features that code may use."""

    name: str
    features: str = ""

    @property
    def lanes(self) -> int:
        """Elements of the vectors that code for it is best written with.

        It has no effect on bits: a longer vector is several registers.
        """
        return 16 if "+avx512f" in self.features or self.name == AVX512.name else 8


AVX2 = Processor("haswell")
AVX512 = Processor("skylake-avx512", "-prefer-256-bit")


@cache
def this_processor() -> Processor:
    """This machine's.

    LLVM avoids 512-bit vectors on processors that have them, for the sake of code that uses them
    now and then; generated loops run twice as fast with them. It changes no bits.
    """
    features = dict(llvm.get_host_cpu_features())
    if "avx512f" in features:
        features["prefer-256-bit"] = False
    return Processor(
        llvm.get_host_cpu_name(),
        ",".join(f"{'+' if has else '-'}{name}" for name, has in sorted(features.items())),
    )


@cache
def platform() -> tuple[str, str]:
    """The triple and the data layout that modules of this machine have."""
    return llvm.get_process_triple(), str(_machine(this_processor()).target_data)


def object_code(text: str, processor: Processor) -> bytes:
    """The machine code of an IR text."""
    machine = _machine(processor)
    return bytes(machine.emit_object(_improved(text, machine)))


def assembly(text: str, processor: Processor) -> str:
    """The same as a person reads it, with notes on spills and shuffles."""
    machine = _machine(processor)
    machine.set_asm_verbosity(True)
    return str(machine.emit_assembly(_improved(text, machine)))


def engine(code: bytes) -> llvm.ExecutionEngine:
    """Object code of this machine, ready to be called; it lasts as long as what is given."""
    found = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(this_processor()))
    found.add_object_file(llvm.ObjectFileRef.from_data(code))
    found.finalize_object()
    return found


def _improved(text: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """The module with its accumulators in registers and its address arithmetic simplified."""
    module = llvm.parse_assembly(text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(_SPEED))
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return module


def _machine(processor: Processor) -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=processor.name,
        features=processor.features,
        opt=_SPEED,
        reloc="default",
        codemodel="jitdefault",
        jit=True,
    )
