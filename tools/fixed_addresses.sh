#!/bin/sh
# Runs a command without address randomisation where that is allowed (containers may forbid it), otherwise as it is.
if setarch -R true 2>/dev/null; then
    exec setarch -R "$@"
fi
exec "$@"
