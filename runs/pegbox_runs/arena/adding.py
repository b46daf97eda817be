"""A comparison that goes on with more: contestants that join it, and entries that are tried again."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
