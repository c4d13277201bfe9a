-- Needs PGMQ, which is why PGMQ is installed before any migration runs.
SELECT pgmq.create('orchestration_step_results');
