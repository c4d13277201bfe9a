#!/usr/bin/env bash
set -euo pipefail

# The stanza of check-services.sh for one service, for each port in $PORTS.
for port in $PORTS; do
    if curl -sf "http://localhost:$port/health" > /dev/null 2>&1; then
        echo "✅ Service on port $port is running"
    else
        echo "⚠️  Service on port $port not running (optional)"
    fi
done
