# frozen_string_literal: true

# The threads by themselves: a queue plays the native part.
RSpec.describe TaskerWorker.const_get(:Pool) do
  let(:core_class) do
    Class.new do
      attr_reader :concurrency

      def initialize(concurrency)
        @concurrency = concurrency
        @jobs = Queue.new
      end

      def take = @jobs.pop
      def spare? = @jobs.num_waiting > @jobs.size
      def <<(job) = @jobs << job
    end
  end

  let(:job_class) do
    Class.new do
      attr_reader :outcome

      def initialize(handler)
        @handler = handler
        @done = Queue.new
      end

      def step
        { task_id: "t", step_id: "s", name: "a", handler: @handler, attempt: 1, max_attempts: 3,
          context: {}, dependencies: {} }
      end

      def succeed(result) = finish([:success, result])
      def fail(message, permanent) = finish([permanent ? :permanent : :failure, message])
      def wait = Timeout.timeout(30) { @done.pop && @outcome }
      def finished? = !@outcome.nil?

      private

      def finish(outcome)
        return if @outcome

        @outcome = outcome
        @done << true
      end
    end
  end

  let(:handlers) { {} }
  let(:core) { core_class.new(3) }
  let!(:pool) { described_class.new(core, handlers) }

  after { pool.close }

  def submit(name, &handler)
    handlers[name] = handler if handler
    job_class.new(name).tap { |job| core << job }
  end

  def outcome(name, &handler)
    submit(name, &handler).wait
  end

  def threads
    pool.instance_variable_get(:@threads).dup
  end

  def wait_until
    Timeout.timeout(30) { sleep 0.001 until yield }
  end

  it "gives a handler its step, and hands the result back" do
    expect(outcome("a") { |step| [step.handler, step.attempt] }).to eq([:success, ["a", 1]])
  end

  {
    "an exception" => [-> { raise ArgumentError, "bad" }, "ArgumentError: bad"],
    "one without a message" => [-> { raise IOError }, "IOError"],
    "one with an empty message" => [-> { raise IOError, "" }, "IOError"],
    "one without a name" => [-> { raise Class.new(StandardError), "x" }, "an exception: x"],
    "one whose message raises" => [
      -> { raise Class.new(StandardError) { def message = raise("no") } }, "an exception"
    ],
    "one whose message is no UTF-8" => [-> { raise "a\xFFb".b }, "RuntimeError: a\u{FFFD}b"],
    "no StandardError" => [-> { raise NotImplementedError, "later" }, "NotImplementedError: later"],
    "a SyntaxError" => [-> { raise SyntaxError, "odd" }, "SyntaxError: odd"],
    "a lack of memory" => [-> { raise NoMemoryError, "full" }, "NoMemoryError: full"],
    "a lack of stack" => [-> { raise SystemStackError, "deep" }, "SystemStackError: deep"],
    "a bare Exception" => [-> { raise Exception, "bare" }, "Exception: bare"], # rubocop:disable Lint/RaiseException
    "Ctrl-C" => [-> { raise Interrupt, "" }, "Interrupt"],
    "`exit`" => [-> { exit 3 }, "SystemExit: exit"],
    "`throw`" => [-> { throw :done }, "UncaughtThrowError: uncaught throw :done"],
    "`Thread.exit`" => [-> { Thread.exit }, "the handler ended its thread"],
    "its thread's end" => [-> { Thread.current.kill }, "the handler ended its thread"]
  }.each do |what, (handler, message)|
    it "makes a failed try of #{what}, and works on" do
      expect(outcome("bad") { handler.call }).to eq([:failure, message])
      expect(outcome("good") { 1 }).to eq([:success, 1])
    end
  end

  it "makes a failed try of `return` and `break`" do
    expect(outcome("return") { return 1 }).to eq([:failure, "LocalJumpError: unexpected return"])
    expect(outcome("break") { break 1 }).to match([:failure, /\ALocalJumpError: break/])
  end

  it "makes a failure for good of a PermanentError" do
    expect(outcome("never") { raise TaskerWorker::PermanentError, "no" })
      .to eq([:permanent, "TaskerWorker::PermanentError: no"])
  end

  it "has one thread more than is busy, up to the concurrency" do
    gate = Queue.new
    expect(threads.size).to eq(1)
    jobs = (1..3).map do |busy|
      submit("wait") { gate.pop }.tap { wait_until { threads.size == [busy + 1, 3].min } }
    end
    late = submit("wait")
    sleep 0.02
    expect(threads.size).to eq(3)
    expect(late).not_to be_finished
    4.times { gate << 1 }
    expect((jobs + [late]).map(&:wait)).to all(eq([:success, 1]))
  end

  it "runs many steps at once, and each of them" do
    jobs = (1..200).map { submit("sleep") { Kernel.sleep(0.001) && :done } }
    expect(jobs.map(&:wait)).to all(eq(%i[success done]))
    expect(threads.size).to eq(3)
  end

  it "replaces a thread that somebody kills while it waits" do
    wait_until { core.spare? }
    first = threads.each(&:kill)
    wait_until { first.none?(&:alive?) }
    expect(outcome("good") { 1 }).to eq([:success, 1])
  end

  context "when somebody raises in its threads all the time" do
    around do |example|
      before = Thread.report_on_exception
      Thread.report_on_exception = false
      example.run
    ensure
      Thread.report_on_exception = before
    end

    it "loses no step and no thread" do
      jobs = (1..300).map { submit("short") { Kernel.sleep(rand / 500) && 1 } }
      nuisance = Thread.new do
        loop do
          threads.sample&.raise("x")
          Kernel.sleep(rand / 500)
        end
      end
      begin
        outcomes = jobs.map(&:wait)
      ensure
        nuisance.kill.join
      end
      expect(outcomes.tally.keys).to contain_exactly([:success, 1], [:failure, "RuntimeError: x"])

      gate = Queue.new
      running = Queue.new
      last = (1..3).map { submit("wait") { running << 1 && gate.pop } }
      3.times { Timeout.timeout(10) { running.pop } }
      3.times { gate << 1 }
      expect(last.map(&:wait)).to all(eq([:success, 1]))
    end
  end

  it "cuts off what still runs, without a result" do
    job = submit("stuck") { sleep }
    wait_until { threads.size == 2 }
    expect(pool.close).to eq([])
    expect(job).not_to be_finished
    expect(threads).to eq([])
  end

  it "names the threads that do not end" do
    gate = Queue.new
    submit("stubborn") do
      sleep
    ensure
      gate.pop
    end
    wait_until { threads.size == 2 }
    stuck = pool.close
    expect(stuck.size).to eq(1)
    gate << 1
    expect(stuck.first.join(5)).to be(stuck.first)
  end
end
