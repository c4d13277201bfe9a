# frozen_string_literal: true

module TaskerWorker
  # The threads that run handlers: one more than is busy, up to the concurrency of the service.
  class Pool
    # How long handlers that were cut off have for their `ensure`s, in seconds.
    PATIENCE = 1

    # `core` gives the jobs; `handlers` says who runs them, by name.
    def initialize(core, handlers)
      @core = core
      @handlers = handlers
      @lock = Mutex.new
      @threads = []
      @closed = false
      grow
    end

    # Ends the threads; returns those that do not end. A step that still runs gets no result, and
    # so it runs again.
    def close
      threads = @lock.synchronize do
        @closed = true
        @threads - [Thread.current]
      end
      threads.each(&:kill)
      deadline = now + PATIENCE
      # Not `join`: that raises what a thread ended with.
      sleep 0.01 while threads.any?(&:alive?) && now < deadline
      threads.select(&:alive?)
    end

    private

    def grow
      @lock.synchronize do
        return if @closed || @threads.size >= @core.concurrency || @core.spare?

        # What others send to a thread, by `kill` or `raise`, reaches it while it waits or runs a
        # handler, and at no other moment: no job is lost, and no thread ends without a successor.
        # It inherits that from here.
        Thread.handle_interrupt(Object => :never) { @threads << Thread.new { work } }
      rescue ThreadError
        # The machine has no more threads: those that are there do.
        raise if @threads.empty?
      end
    end

    def work
      Thread.handle_interrupt(Object => :on_blocking) do
        while (job = @core.take)
          perform(job)
        end
      end
    ensure
      @lock.synchronize { @threads.delete(Thread.current) }
      grow
    end

    def perform(job)
      grow
      step = Step.new(**job.step)
      handler = @handlers.fetch(step.handler)
      job.succeed(Thread.handle_interrupt(Object => :immediate) { handler.call(step) })
    rescue PermanentError => e
      job.fail(describe(e), true)
    rescue Exception => e # rubocop:disable Lint/RescueException -- `exit` ends a step, not the worker
      job.fail(describe(e), false)
    ensure
      # After a result this does nothing; without one the thread is being killed.
      job.fail("the handler ended its thread", false) unless @closed
    end

    # `ArgumentError: its message`.
    def describe(error)
      kind = error.class.name || "an exception"
      message = error.message.to_s.encode("UTF-8", invalid: :replace, undef: :replace).scrub
      message.empty? || message == kind ? kind : "#{kind}: #{message}"
    rescue StandardError
      kind
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
  private_constant :Pool
end
