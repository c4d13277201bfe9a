# frozen_string_literal: true

# Steps from the orchestration service to handlers and back, in this process.
RSpec.describe TaskerWorker::Worker, :integration do
  namespace = "ruby_spec"
  worker = described_class.new(namespace)
  gate = Queue.new

  cycle = {}.tap { |itself| itself[:a] = itself }
  deep = 80.times.reduce(1) { |inner, _| [inner] }

  not_json = {
    "NaN" => [Float::NAN, "it is NaN"],
    "infinity" => [{ a: [1, -Float::INFINITY] }, "`a[1]` is infinite"],
    "a Symbol" => [{ state: :ok }, "`state` is an instance of Symbol"],
    "an object" => [[Time.at(0)], "`[0]` is an instance of Time"],
    "a BasicObject" => [BasicObject.new, "it is an instance of BasicObject"],
    "a huge number" => [2**64, "it is an Integer of more than 64 bits"],
    "a cycle" => [[].tap { |itself| itself << itself }, "deeper than 90 levels, or holds itself"],
    "a cycle of hashes" => [cycle, "…` is deeper than 90 levels, or holds itself"],
    "bytes" => ["\xFF".b, "it is a String (ASCII-8BIT) that is no UTF-8"],
    "broken text" => [["\xFF"], "`[0]` is a String (UTF-8) that is no UTF-8"],
    "a key that is no text" => [{ a: { 1 => 2 } },
                                "`a` is a Hash with a key that is an instance of Integer"],
    "a key twice" => [{ a: 1, "a" => 2 }, "`a` is there twice, as a String and as a Symbol"]
  }
  json = {
    "nil" => [nil, nil],
    "numbers" => [[0, -1, 1.5, 2**63, (2**64) - 1, -2**63],
                  [0, -1, 1.5, 2**63, (2**64) - 1, -2**63]],
    "truth" => [[true, false], [true, false]],
    "text" => [["Grüße, 世界 🦀", "caf\xE9".dup.force_encoding("ISO-8859-1"), "plain".b],
               ["Grüße, 世界 🦀", "café", "plain"]],
    "symbols as keys" => [{ a: { "b" => [{ c: 1 }] } }, { "a" => { "b" => [{ "c" => 1 }] } }],
    "a kind of Hash" => [Class.new(Hash)[:a, 1], { "a" => 1 }],
    "depth" => [deep, deep]
  }
  not_json.merge(json).each { |name, (value, _)| worker.handler(name) { value } }
  worker.handler("step") do |step|
    [step.task_id, step.step_id, step.name, step.handler, step.attempt, step.max_attempts,
     step.context, step.dependencies]
  end
  worker.handler("raises") { raise ArgumentError, "as asked" }
  worker.handler("never") { raise TaskerWorker::PermanentError, "no" }
  worker.handler("exits") { exit 3 }
  worker.handler("ends its thread") { Thread.exit }
  worker.handler("throws") { throw :done }
  worker.handler("recurses") { (deep = ->(n) { deep.call(n + 1) + 1 }).call(0) }
  worker.handler("quick") { |step| step.param(:n) }
  worker.handler("meets") do
    gate << 1
    Timeout.timeout(30) { sleep 0.001 until gate.size >= 4 }
    gate.size
  end

  before(:context) do
    ENV["RUBY_WORKER_PORT"] = "0"
    @service = worker.start
  end

  after(:context) { @service&.stop }

  define_method(:run_handler) do |handler, context = {}|
    run_step(namespace, handler, context:)
  end

  not_json.each do |what, (_, reason)|
    it "fails a step for good whose result is no JSON: #{what}" do
      step = run_handler(what)
      expect(step).to include("state" => "failed")
      expect(step["error"]).to start_with("the handler's result is no JSON: ").and end_with(reason)
    end
  end

  json.each do |what, (_, result)|
    it "hands #{what} on" do
      expect(run_handler(what)).to include("state" => "complete", "result" => result)
    end
  end

  it "gives a handler all that there is to know" do
    context = { "list" => [1, 1.5, nil, true, 2**63, { "ü" => "é" }] }
    id = submit(namespace, { name: "first", handler: "quick" },
                { name: "second", handler: "step", depends_on: ["first"], max_attempts: 7 },
                context: { first: { n: 5 }, **context })
    step = wait_for_end(id)["steps"].find { |it| it["name"] == "second" }
    expect(step["result"]).to eq([id, step["step_id"], "second", "step", 1, 7,
                                  { "first" => { "n" => 5 }, **context }, { "first" => 5 }])
  end

  {
    "raises" => "ArgumentError: as asked",
    "never" => "TaskerWorker::PermanentError: no",
    "exits" => "SystemExit: exit",
    "ends its thread" => "the handler ended its thread",
    "throws" => "UncaughtThrowError: uncaught throw :done",
    "recurses" => "SystemStackError: stack level too deep"
  }.each do |handler, message|
    it "makes a failed step of a handler that #{handler}" do
      expect(run_handler(handler)).to include("state" => "failed", "error" => message)
    end
  end

  it "tries again what may work, and not what never will" do
    tries = %w[raises never].to_h do |handler|
      id = submit(namespace, { name: "only", handler:, max_attempts: 2 })
      [handler, wait_for_end(id)["steps"].first["attempts"]]
    end
    expect(tries).to eq("raises" => 2, "never" => 1)
  end

  it "runs as many handlers at once as it may" do
    steps = (1..4).map { |n| { name: "s#{n}", handler: "meets" } }
    task = wait_for_end(submit(namespace, *steps))
    expect(task["steps"].map { |step| step["result"] }).to eq([4, 4, 4, 4])
  end

  it "runs 200 quick steps, each of them once" do
    steps = (1..200).map { |n| { name: "s#{n}", handler: "quick" } }
    context = (1..200).to_h { |n| ["s#{n}", { n: }] }
    task = wait_for_end(submit(namespace, *steps, context:))
    results = task["steps"].to_h { |step| [step["name"], step["result"]] }
    expect(results).to eq((1..200).to_h { |n| ["s#{n}", n] })
    expect(task["steps"].map { |step| step["attempts"] }).to all(eq(1))
  end

  it "keeps everything alive that it needs, whenever the garbage is collected" do
    program = start("gc_stress")
    expect(program.url).to start_with("http://")
    expect(program.line).to eq("stressed")
    context = { "list" => [1, "zwei", { "drei" => [3.0, nil] }] }
    id = submit("ruby_gc_stress", { name: "a", handler: "mirror" },
                { name: "b", handler: "mirror", depends_on: ["a"] },
                { name: "c", handler: "mirror" }, context:)
    results = wait_for_end(id)["steps"].to_h { |step| [step["name"], step["result"]] }
    mirrored = { "context" => context, "twice" => [{}, context["list"]] }
    expect(results).to eq(
      "a" => { **mirrored, "name" => "a" }, "c" => { **mirrored, "name" => "c" },
      "b" => { **mirrored, "name" => "b",
                           "twice" => [{ "a" => results["a"] }, context["list"]] }
    )
    expect(run_step("ruby_gc_stress", "bad", context:)["error"])
      .to eq("the handler's result is no JSON: `[1]` is an instance of Object")
    expect(run_step("ruby_gc_stress", "raises")["error"]).to eq("RuntimeError: only: {}")
    program.signal("TERM")
    expect(program.wait).to eq(0)
  end
end
