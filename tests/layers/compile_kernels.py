"""Compiles both kernels to machine code for the GPUs named on the command line; needs Triton, and no GPU."""

import sys


def compile_for(capability: int) -> None:
    """Both kernels for a CUDA compute capability such as 90; prints the sizes of the machine code."""
    # Here and not above: where pytest looks for doctests, Triton may be missing, or must not be imported yet.
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from pointtrack.layers import correlation_triton as kernels

    constants = {
        "RADIUS": 1, "CELLS": kernels.SMALLEST, "LOOKS": kernels.SMALLEST, "PART": kernels.CHANNELS,
        "SUM": tl.float32, "OF_LEVEL": True, "OF_SUPPORT": True, "OF_XY": True,
    }  # fmt: skip
    sums = ("xy", "grad_level", "grad_support", "grad_xy")
    for kernel in (kernels._forward_kernel, kernels._backward_kernel):
        for maps in ("fp32", "bf16"):
            given = {name: value for name, value in constants.items() if name in kernel.arg_names}
            types = dict.fromkeys(kernel.arg_names, "i32") | dict.fromkeys(given, "constexpr")
            pointers = dict.fromkeys(("level", "support", "out", "grad"), f"*{maps}")
            pointers |= dict.fromkeys(sums, "*fp32")
            types |= {name: pointer for name, pointer in pointers.items() if name in types}
            target = GPUTarget("cuda", capability, 32)
            source = ASTSource(kernel, types, given)
            built = triton.compile(source, target=target, options={"num_warps": kernels.WARPS})
            print(len(built.asm["cubin"]))


if __name__ == "__main__":
    for number in sys.argv[1:]:
        compile_for(int(number))
