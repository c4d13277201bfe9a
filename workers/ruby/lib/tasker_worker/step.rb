# frozen_string_literal: true

module TaskerWorker
  # The step that a handler is to run.
  class Step
    # The task's id.
    attr_reader :task_id
    # The same for every try: the key for effects that must happen once.
    attr_reader :step_id
    # Its name in its task.
    attr_reader :name
    # The name under which the handler was registered.
    attr_reader :handler
    # Which try this is, from 1. A run after a worker's death has the same number.
    attr_reader :attempt
    # How many tries there will be.
    attr_reader :max_attempts
    # The task's context, as it was submitted: hashes have strings as keys.
    attr_reader :context
    # The results of the steps that this one depends on, by their names.
    attr_reader :dependencies

    def initialize(task_id:, step_id:, name:, handler:, attempt:, max_attempts:, context:,
                   dependencies:)
      @task_id = task_id
      @step_id = step_id
      @name = name
      @handler = handler
      @attempt = attempt
      @max_attempts = max_attempts
      @context = context
      @dependencies = dependencies
      freeze
    end

    # `context[<step name>][key]` if there is one, else `context[key]`, else the default: so two
    # steps with the same handler can differ.
    def param(key, default = nil)
      return default unless context.is_a?(Hash)

      own = context[name]
      key = key.to_s
      return own[key] if own.is_a?(Hash) && own.key?(key)

      context.fetch(key, default)
    end
  end
end
