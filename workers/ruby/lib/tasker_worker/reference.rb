# frozen_string_literal: true

require "tasker_worker"

module TaskerWorker
  # The reference service: namespace `ruby`, handlers small enough to read.
  module Reference
    module_function

    # Returns the task's context and the results of the parents.
    def echo(step)
      { context: step.context, dependencies: step.dependencies }
    end

    # Waits for `sleep_ms` milliseconds.
    def sleep(step)
      milliseconds = count(step, "sleep_ms", 100)
      Kernel.sleep(milliseconds / 1000.0)
      { slept_ms: milliseconds }
    end

    # The sum of the parents' values and the step's own.
    def add(step)
      { value: numbers(step).sum }
    end

    # The product of the parents' values and the step's own.
    def multiply(step)
      { value: numbers(step).reduce(1, :*) }
    end

    # Fails at the first `fail_times` tries.
    def flaky(step)
      attempt = step.attempt
      raise "flaky: failed at attempt #{attempt}" if attempt <= count(step, "fail_times", 1)

      { succeeded_at: attempt }
    end

    # Fails at every try.
    def always_fails(step)
      raise "always_fails: #{step.param(:message, "it always does")}"
    end

    # An exception that nobody planned for.
    def raises(_step)
      raise ArgumentError, "raises, as asked"
    end

    def count(step, key, default)
      value = step.param(key, default)
      return value if value.is_a?(Integer) && !value.negative?

      raise PermanentError, "`#{key}` is #{value.inspect}, it has to be a non-negative number"
    end

    # The parents' `value`s, and the step's own where the context has one.
    def numbers(step)
      found = step.dependencies.transform_values { |result| value_of(result) }
      own = step.context[step.name] if step.context.is_a?(Hash)
      found[step.name] = value_of(own) if own.is_a?(Hash) && own.key?("value")
      odd = found.find { |_, value| !value.is_a?(Integer) }
      return found.values if odd.nil?

      raise PermanentError, "#{step.handler}: `#{odd.first}` gives no whole number as its `value`"
    end

    def value_of(result)
      result["value"] if result.is_a?(Hash)
    end

    # The worker of the program `tasker-worker-ruby`.
    def worker
      worker = Worker.new("ruby")
      %i[echo sleep add multiply flaky always_fails raises].each do |name|
        worker.handler(name, method(name))
      end
      worker
    end
  end
end
