"""A stand-in for PyTorch inside the process that converts.

`rknn.api` imports torch when it is loaded, and on the ONNX route never uses it. The real
one would bring 4.8 GB of CUDA libraries from the registry. `install` puts a module with the
few names that are looked up at import into `sys.modules`; any other name is an
AttributeError, so a call that truly needs PyTorch fails loudly. Weights and outputs were
bit-identical to PyTorch 2.4.0 for normal, kl_divergence and mmse (TOOLCHAIN).
"""

import importlib.util
import sys
import types


def install() -> bool:
    """Provide `torch` if it is not installed. Returns True if the stand-in is in use."""
    if "torch" in sys.modules:
        return getattr(sys.modules["torch"], "__is_stand_in__", False)
    if importlib.util.find_spec("torch"):
        return False

    def no_grad(function=None):
        return function if function else lambda wrapped: wrapped

    modules = {
        name: types.ModuleType(name)
        for name in ("torch", "torch.nn", "torch.nn.functional", "torch.autograd")
    }
    torch, nn = modules["torch"], modules["torch.nn"]
    torch.__is_stand_in__ = True
    torch.__version__ = "0"
    torch.no_grad = no_grad
    torch.Tensor = type("Tensor", (), {})
    torch.nn, torch.autograd = nn, modules["torch.autograd"]
    nn.Module = type("Module", (), {})
    nn.functional = modules["torch.nn.functional"]
    torch.autograd.Function = type("Function", (), {})
    for name, module in modules.items():
        module.__spec__ = importlib.util.spec_from_loader(name, loader=None)
        module.__path__ = []
    sys.modules.update(modules)
    return True
