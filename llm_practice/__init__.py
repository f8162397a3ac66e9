__version__ = "0.1.0"

import functools as _functools
import importlib.util as _util
import sys as _sys

_AUTO = "transformers.models.auto.configuration_auto"


def _let_it_know(module):
    "At its first call `AutoConfig.from_pretrained`, which all automatic classes ask, learns of our classifier."
    known = module.AutoConfig.from_pretrained

    @_functools.wraps(known)
    def from_pretrained(*args, **kwargs):
        module.AutoConfig.from_pretrained = known
        import llm_practice.engine.encoders  # noqa: F401

        return known(*args, **kwargs)

    module.AutoConfig.from_pretrained = from_pretrained


class _Waits:
    "Until `transformers` is imported: `import llm_practice` alone loads neither it nor torch."

    def find_spec(self, name, path=None, target=None):
        if name != _AUTO:
            return None
        _sys.meta_path.remove(self)
        try:
            spec = _util.find_spec(name)
        finally:
            _sys.meta_path.insert(0, self)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (load(module), _let_it_know(module))
        return spec


if _AUTO in _sys.modules:
    _let_it_know(_sys.modules[_AUTO])
else:
    _sys.meta_path.insert(0, _Waits())
