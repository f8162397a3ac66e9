__version__ = "0.1.0"

import importlib.util as _util
import sys as _sys

_AUTO = "transformers.models.auto.modeling_auto"


class _Registers:
    "Makes our classifier known to `transformers`, once and only when its automatic classes are loaded."

    def find_spec(self, name, path=None, target=None):
        if name != _AUTO:
            return None
        _sys.meta_path.remove(self)
        spec = _util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            import llm_practice.engine.encoders  # noqa: F401

        spec.loader.exec_module = exec_module
        return spec


if _AUTO in _sys.modules:
    import llm_practice.engine.encoders  # noqa: F401
else:
    _sys.meta_path.insert(0, _Registers())
