"""What can be set: one option, the groups of options, the options of each command."""

from kdflow.config.base import Checked, configure, flat, named_otherwise, options, texts
from kdflow.config.commands import (
    TEACHER_OPTIONS,
    TEMPERATURE,
    AnyConfig,
    CompareConfig,
    DoctorConfig,
    StoreConfig,
    StudentConfig,
    StudyConfig,
    SyncConfig,
    TeacherConfig,
    needs_teacher,
)
from kdflow.config.groups import (
    STUDENT_RECIPE,
    TEACHER_RECIPE,
    DataConfig,
    KeepingConfig,
    Recipe,
    ResumableConfig,
    RuntimeConfig,
    logged,
)

__all__ = [
    "STUDENT_RECIPE",
    "TEACHER_OPTIONS",
    "TEACHER_RECIPE",
    "TEMPERATURE",
    "AnyConfig",
    "Checked",
    "CompareConfig",
    "DataConfig",
    "DoctorConfig",
    "KeepingConfig",
    "Recipe",
    "ResumableConfig",
    "RuntimeConfig",
    "StoreConfig",
    "StudentConfig",
    "StudyConfig",
    "SyncConfig",
    "TeacherConfig",
    "configure",
    "flat",
    "logged",
    "named_otherwise",
    "needs_teacher",
    "options",
    "texts",
]
