-- What the reference handlers leave behind, so that tests can count.
CREATE SCHEMA reference;

-- The effect of a step: once, however often its handler ran.
CREATE TABLE reference.effects (
    step_id    uuid PRIMARY KEY,
    task_id    uuid NOT NULL,
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX effects_by_task ON reference.effects (task_id);

-- Every time that a handler started.
CREATE TABLE reference.executions (
    execution_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step_id      uuid NOT NULL,
    task_id      uuid NOT NULL,
    attempt      integer NOT NULL,
    worker_pid   bigint NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX executions_by_step ON reference.executions (step_id);
