# frozen_string_literal: true

require "English"

module TaskerWorker
  # A running worker with its `/health`, made by Worker#start.
  #
  # It belongs to the process that started it: in a fork, each call raises a RuntimeError. One that
  # nobody stopped is stopped when the process ends.
  class Service
    # Those that are not stopped.
    LIVE = [] # rubocop:disable Style/MutableConstant
    private_constant :LIVE

    def initialize(core, handlers) # :nodoc:
      @core = core
      @process = Process.pid
      @lock = Mutex.new
      @impatient = false
      @stuck = []
      @pool = Pool.new(core, handlers)
      LIVE << self
    rescue StandardError
      core.stop
      raise
    end

    # Where `/health` is.
    def address
      @core.address
    end

    # Whether it works: false from the beginning of its stop, and after a fault that ended it.
    def running?
      @core.running?
    end

    # What `/health` says, as a Hash: its `"status"` is `"healthy"` or `"unhealthy"`. `nil` after
    # the stop.
    def health
      @core.health
    end

    # Lets the running steps finish and ends; a second call does nothing. A handler that takes
    # longer than `TASKER_SHUTDOWN_GRACE_SECS` is cut off: its thread is killed, and its step runs
    # again.
    #
    # What interrupts the stop, such as Ctrl-C, ends the patience: the next call cuts off at once.
    def stop
      @lock.synchronize do
        @core.stop
        end_threads
      end
      nil
    rescue Exception # rubocop:disable Lint/RescueException -- raised again
      @impatient = true
      raise
    end

    class << self
      def stop_all # :nodoc: at the end of the process
        mine = LIVE.select(&:here?)
        leave if mine.map(&:stop_at_exit).flatten.any?
      end

      private

      # Ruby would wait for threads that do not end.
      def leave
        error = $ERROR_INFO
        status = case error
                 when nil then 0
                 when SystemExit then error.status
                 when SignalException then 128 + error.signo
                 else 1
                 end
        warn error.full_message if status == 1 && !error.is_a?(SystemExit)
        [$stdout, $stderr].each(&:flush)
        exit!(status)
      end
    end

    def here? # :nodoc:
      @process == Process.pid
    end

    def stop_at_exit # :nodoc: returns the threads that did not end
      stop unless @impatient
      @stuck
    rescue Exception # rubocop:disable Lint/RescueException -- Ctrl-C: no more patience
      @stuck
    ensure
      end_threads
    end

    private

    def end_threads
      @stuck = @pool.close
      LIVE.delete(self) if @stuck.empty?
    end
  end
end
