__version__ = "0.1.0"

import importlib.util as _util
import sys as _sys

_CONFIGS, _MODELS = (f"transformers.models.auto.{kind}_auto" for kind in ("configuration", "modeling"))


class _Registers:
    "Makes our classifier known to `transformers`, and only when its automatic classes are loaded."

    def find_spec(self, name, path=None, target=None):
        if name not in (_CONFIGS, _MODELS):
            return None
        _sys.meta_path.remove(self)
        spec = _util.find_spec(name)
        if name == _CONFIGS:  # the models may come later
            _sys.meta_path.insert(0, self)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            if name == _MODELS or _MODELS not in _sys.modules:  # not while they are being loaded
                import llm_practice.engine.encoders  # noqa: F401

        spec.loader.exec_module = exec_module
        return spec


if _MODELS in _sys.modules or _CONFIGS in _sys.modules:
    import llm_practice.engine.encoders  # noqa: F401
else:
    _sys.meta_path.insert(0, _Registers())
