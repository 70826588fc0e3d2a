"""The executor in Java, run inside Python: ``executor_jpype.py CLASSES SCRIPT``."""

from __future__ import annotations

import sys

import jpype

import derecho.jvm

derecho.jvm.start("-Xmx200m", classpath=[sys.argv[1]])
jpype.JClass("Executor").main(sys.argv[2:])
