-- Tasks and their steps. The lists of states are those of tasker-shared/src/types.rs.
CREATE SCHEMA tasker;

CREATE TABLE tasker.tasks (
    task_id      uuid PRIMARY KEY,
    name         text NOT NULL,
    context      jsonb NOT NULL,
    state        text NOT NULL DEFAULT 'in_progress'
                 CHECK (state IN ('in_progress', 'complete', 'failed')),
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CHECK ((state = 'in_progress') = (completed_at IS NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
);

CREATE INDEX tasks_newest ON tasker.tasks (created_at DESC);

CREATE TABLE tasker.steps (
    step_id      uuid PRIMARY KEY,
    task_id      uuid NOT NULL REFERENCES tasker.tasks ON DELETE CASCADE,
    position     integer NOT NULL,
    name         text NOT NULL,
    handler      text NOT NULL,
    namespace    text NOT NULL,
    depends_on   text[] NOT NULL,
    max_attempts integer NOT NULL CHECK (max_attempts >= 1),
    state        text NOT NULL
                 CHECK (state IN ('pending', 'enqueued', 'complete', 'failed', 'cancelled')),
    -- The try that is in the queue or was the last one: a result of any other is ignored.
    attempt      integer NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND max_attempts),
    result       jsonb,
    error        text,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (task_id, name),
    UNIQUE (task_id, position),
    CHECK ((state = 'complete') = (result IS NOT NULL))
);
