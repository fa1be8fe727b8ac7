"""The configuration: TOML files in, one frozen ``Config`` out, every problem reported at once."""

from leakwatch.config.keys import default_toml, render_config
from leakwatch.config.loading import ETC, load_config
from leakwatch.config.schema import (
    AnalysisConfig,
    Config,
    EvidenceConfig,
    IgnoreConfig,
    Override,
    OverrideKind,
    PrivacyConfig,
    SamplingConfig,
    Sensitivity,
    StoreConfig,
    Thresholds,
    matches,
)

__all__ = [
    "ETC",
    "AnalysisConfig",
    "Config",
    "EvidenceConfig",
    "IgnoreConfig",
    "Override",
    "OverrideKind",
    "PrivacyConfig",
    "SamplingConfig",
    "Sensitivity",
    "StoreConfig",
    "Thresholds",
    "default_toml",
    "load_config",
    "matches",
    "render_config",
]
