"""JAX's persistent compilation cache, enabled only on request."""

import os
import platform
from pathlib import Path

import jax
import platformdirs


def enable_compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path:
    """Store compiled training steps on disk, so that later processes start faster.

    It changes JAX's configuration for the whole process. The `qtnml` command calls it; the library never
    does. The default folder is in the user cache, one per machine, because compiled code fits only the
    processor it was made on. A folder that JAX was given already ($JAX_COMPILATION_CACHE_DIR) is kept.
    """
    given = jax.config.values.get("jax_compilation_cache_dir")
    if folder is None and given:
        return Path(given)
    machine = f"{platform.node()}-{platform.machine()}"
    path = Path(folder) if folder else Path(platformdirs.user_cache_dir("qtnml")) / "xla" / machine
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))  # type: ignore[no-untyped-call]
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # type: ignore[no-untyped-call]
    return path
