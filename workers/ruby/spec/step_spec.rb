# frozen_string_literal: true

RSpec.describe TaskerWorker::Step do
  def step(**changes)
    described_class.new(task_id: "t", step_id: "s", name: "a", handler: "h", attempt: 1,
                        max_attempts: 3, context: {}, dependencies: {}, **changes)
  end

  it "prefers its own parameter to the task's" do
    context = { "ms" => 1, "a" => { "ms" => 2, "off" => false }, "b" => { "ms" => 3 }, "off" => 1 }
    expect(step(context:).param(:ms)).to eq(2)
    expect(step(context:).param("off")).to be(false)
    expect(step(context:, name: "c").param("ms")).to eq(1)
    expect(step(context:).param(:other, "none")).to eq("none")
    expect(step(context:).param(:other)).to be_nil
    expect(step(context: [1]).param(:ms, 7)).to eq(7)
  end

  it "cannot be changed" do
    expect { step.instance_variable_set(:@attempt, 2) }.to raise_error(FrozenError)
  end
end
