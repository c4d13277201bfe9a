#!/usr/bin/env bash
set -euo pipefail

# Check required services for testing
# Aligns with health checks in start-native-services.sh

POSTGRES_PORT="${POSTGRES_PORT:-5432}"
ORCHESTRATION_PORT="${ORCHESTRATION_PORT:-8080}"
WORKER_PORT="${WORKER_PORT:-8081}"

echo "🔍 Checking services..."

# PostgreSQL
if pg_isready -h localhost -p "$POSTGRES_PORT" > /dev/null 2>&1; then
    echo "✅ PostgreSQL is running on port $POSTGRES_PORT"
else
    echo "❌ PostgreSQL is not running on port $POSTGRES_PORT"
    echo "   Start with: docker-compose up -d postgres"
    exit 1
fi

# Optional: Check other services if running E2E
if [ "${CHECK_ALL_SERVICES:-false}" = "true" ]; then
    if curl -sf "http://localhost:$ORCHESTRATION_PORT/health" > /dev/null 2>&1; then
        echo "✅ Orchestration service is running"
    else
        echo "⚠️  Orchestration service not running (optional)"
    fi
    
    if curl -sf "http://localhost:$WORKER_PORT/health" > /dev/null 2>&1; then
        echo "✅ Worker service is running"
    else
        echo "⚠️  Worker service not running (optional)"
    fi
fi
