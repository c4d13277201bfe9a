# frozen_string_literal: true

require "io/wait"

module TaskerWorker
  # Runs the steps of one namespace.
  class Worker
    # How often `run` looks whether the worker is still there, in seconds.
    WATCH_INTERVAL = 0.2
    private_constant :WATCH_INTERVAL

    attr_reader :namespace

    def initialize(namespace)
      @namespace = namespace.to_s
      @handlers = {}
    end

    # Registers who runs the steps of this name: a block, an object with `call`, or a class whose
    # instances have one, and get one step each.
    #
    #   worker.handler("charge") { |step| { charged: step.param(:amount) } }
    #   worker.handler("refund", Refund)
    #
    # It gets a Step, in several threads at once. What it returns has to be JSON: nil, true, false,
    # numbers, strings, arrays, and hashes with strings or symbols as keys. An exception fails the
    # try, and the step is tried again later; a PermanentError fails the step at once.
    def handler(name, callable = nil, &block)
      name = name.to_s
      unless callable.nil? ^ block.nil?
        raise ArgumentError, "handler `#{name}` has to be either a block or an object"
      end
      raise ArgumentError, "two handlers have the name `#{name}`" if @handlers.key?(name)

      @handlers[name] = runner(name, callable || block)
      self
    end

    # What is registered, by name.
    def handlers
      @handlers.dup.freeze
    end

    # Takes the port, waits for the database, and works in the background. Returns a Service.
    #
    # Raises StartError when it cannot, and its kind ConfigurationError when the environment makes
    # no sense.
    def start
      Service.new(Core::Service.start(@namespace, @handlers.keys), handlers)
    end

    # Yields a Service that is stopped at the end of the block.
    def running
      service = start
      begin
        yield service
      ensure
        service.stop
      end
    end

    # Serves until SIGTERM or Ctrl-C; returns the exit code of the process.
    #
    # 0 after a graceful stop, 1 when it could not start or ended by itself, 2 for an environment
    # that makes no sense.
    def run
      # Until it serves there is nothing to finish: a signal ends the process at once.
      trapping(%w[INT], "SYSTEM_DEFAULT") { serve(start) }
    rescue StartError => e
      warn "error: #{e.message}"
      e.is_a?(ConfigurationError) ? 2 : 1
    end

    private

    def runner(name, handler)
      if handler.respond_to?(:call)
        handler
      elsif handler.is_a?(Class) && handler.method_defined?(:call)
        ->(step) { handler.new.call(step) }
      else
        raise ArgumentError, "handler `#{name}` is #{handler.inspect}, which has no `call`"
      end
    end

    def serve(service)
      asked, asks = IO.pipe
      trapping(%w[INT TERM], ->(_) { asks.write_nonblock(".", exception: false) }) do
        return 0 if wait_for(asked, service)

        warn "error: the worker ended"
        1
      ensure
        service.stop
      end
    ensure
      [asked, asks].compact.each(&:close)
    end

    # Whether the end was asked for; false when the worker ended by itself.
    def wait_for(asked, service)
      loop do
        return true if asked.wait_readable(WATCH_INTERVAL)
        return false unless service.running?
      end
    end

    # Has signals handled by `action` while the block runs.
    def trapping(signals, action)
      before = signals.to_h { |signal| [signal, trap(signal, action) || "DEFAULT"] }
      yield
    ensure
      before&.each { |signal, action_before| trap(signal, action_before) }
    end
  end
end
