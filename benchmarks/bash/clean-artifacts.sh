#!/usr/bin/env bash
set -euo pipefail

# What the clean tasks of the languages amount to: cargo's own, then caches by name.
cargo clean --quiet
find . -type d \( -name __pycache__ -o -name .pytest_cache -o -name .ruff_cache \) -prune -exec rm -rf {} +
find . -type f -name '*.pyc' -exec rm -f {} +
