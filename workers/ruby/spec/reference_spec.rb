# frozen_string_literal: true

RSpec.describe TaskerWorker::Reference do
  def step(**changes)
    TaskerWorker::Step.new(task_id: "t", step_id: "s", name: "a", handler: "h", attempt: 1,
                           max_attempts: 3, context: {}, dependencies: {}, **changes)
  end

  it "adds and multiplies the numbers of the parents and its own" do
    given = step(context: { "a" => { "value" => 3 } },
                 dependencies: { "p" => { "value" => 4 }, "q" => { "value" => 5 } })
    expect(described_class.add(given)).to eq(value: 12)
    expect(described_class.multiply(given)).to eq(value: 60)
    expect(described_class.multiply(step)).to eq(value: 1)
  end

  ["3", nil, true, 1.5].each do |value|
    it "fails for good at #{value.inspect}, which is no whole number" do
      given = step(handler: "add", dependencies: { "p" => { "value" => value } })
      expect { described_class.add(given) }
        .to raise_error(TaskerWorker::PermanentError,
                        "add: `p` gives no whole number as its `value`")
    end
  end

  it "is flaky as often as asked" do
    context = { "fail_times" => 2 }
    (1..2).each do |attempt|
      expect { described_class.flaky(step(context:, attempt:)) }
        .to raise_error("flaky: failed at attempt #{attempt}")
    end
    expect(described_class.flaky(step(context:, attempt: 3))).to eq(succeeded_at: 3)
  end

  it "sleeps for a number of milliseconds only" do
    expect(described_class.sleep(step(context: { "sleep_ms" => 1 }))).to eq(slept_ms: 1)
    expect { described_class.sleep(step(context: { "sleep_ms" => -1 })) }
      .to raise_error(TaskerWorker::PermanentError, /`sleep_ms` is -1/)
  end

  it "registers them all" do
    expect(described_class.worker.namespace).to eq("ruby")
    expect(described_class.worker.handlers.keys)
      .to eq(%w[echo sleep add multiply flaky always_fails raises])
  end
end
