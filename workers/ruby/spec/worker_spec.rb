# frozen_string_literal: true

RSpec.describe TaskerWorker::Worker do
  subject(:worker) { described_class.new("x") }

  around do |example|
    before = ENV.to_h
    ENV["RUBY_WORKER_PORT"] = "0"
    example.run
  ensure
    ENV.replace(before)
  end

  it "takes blocks, objects with `call`, and classes with `call`" do
    worker.handler(:block) { |step| [:block, step] }
    worker.handler("method", method(:Array))
    worker.handler("class", Class.new { def call(step) = [:class, object_id, step] })
    handlers = worker.handlers
    expect(handlers.keys).to eq(%w[block method class])
    expect(handlers["block"].call(1)).to eq([:block, 1])
    expect(handlers["method"].call(1)).to eq([1])
    # An object for each step.
    expect(handlers["class"].call(1)).not_to eq(handlers["class"].call(1))
  end

  it "refuses two handlers of one name" do
    worker.handler("a") { nil }
    expect { worker.handler(:a) { nil } }
      .to raise_error(ArgumentError, "two handlers have the name `a`")
  end

  it "refuses what cannot be called" do
    expect { worker.handler("a", 7) }
      .to raise_error(ArgumentError, "handler `a` is 7, which has no `call`")
    expect { worker.handler("a") }.to raise_error(ArgumentError, /either a block or an object/)
    expect { worker.handler("a", -> {}) { nil } }.to raise_error(ArgumentError, /either a block/)
  end

  it "keeps its handlers for itself" do
    expect { worker.handlers["a"] = 1 }.to raise_error(FrozenError)
  end

  it "says that the environment lacks a database" do
    ENV.delete("DATABASE_URL")
    worker.handler("a") { nil }
    expect { worker.start }.to raise_error(TaskerWorker::ConfigurationError, /DATABASE_URL/)
    expect { expect(worker.run).to eq(2) }.to output(/\Aerror: DATABASE_URL/).to_stderr
  end

  it "does not start without handlers" do
    ENV["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none"
    expect { worker.start }.to raise_error(TaskerWorker::StartError, /`x` has no handlers/)
    expect { expect(worker.run).to eq(1) }.to output(/\Aerror: .* no handlers/).to_stderr
  end

  it "does not start with a namespace that is none" do
    ENV["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none"
    bad = described_class.new("No Name").handler("a") { nil }
    expect { bad.start }.to raise_error(TaskerWorker::StartError, /No Name/)
  end

  it "gives the signals back that `run` took" do
    ENV.delete("DATABASE_URL")
    mine = -> {}
    before = trap("INT", mine)
    expect { worker.run }.to output.to_stderr
    expect(trap("INT", before)).to be(mine)
  end
end
