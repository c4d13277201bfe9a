# frozen_string_literal: true

require "rbconfig"
require "timeout"

# A Ruby program in a process of its own.
class Program
  ROOT = File.expand_path("../..", __dir__)
  PATIENCE = 60

  # Starts programs, and kills what is left of them after the example.
  module Starts
    def self.included(group)
      group.after { started.each(&:kill) }
    end

    # A program of `spec/support/programs`.
    def start(name, env = {})
      start_file(File.join(__dir__, "programs", "#{name}.rb"), env)
    end

    def start_reference(env = {})
      start_file(File.join(ROOT, "exe", "tasker-worker-ruby"), env)
    end

    private

    def started
      @started ||= []
    end

    def start_file(path, env)
      started << (program = Program.new(path, env))
      program
    end
  end

  def initialize(path, env)
    # Without this process's bundle and its `-w`.
    env = { "RUBYOPT" => nil, "RUBY_WORKER_PORT" => "0", "RUST_LOG" => "warn" }.merge(env)
    @out, out = IO.pipe
    @errors, errors = IO.pipe
    @pid = Process.spawn(env, RbConfig.ruby, "-I", File.join(ROOT, "lib"), path,
                         in: File::NULL, out:, err: errors)
    [out, errors].each(&:close)
    @reader = Thread.new { @errors.read }
  end

  # The next line of its output.
  def line
    text = Timeout.timeout(PATIENCE) { @out.gets }
    text&.chomp || raise("it ended, and said: #{errors}")
  end

  # Reads on until it says this: steps that an aborted run left behind may speak in between.
  def wait_for_line(text)
    nil until line == text
  end

  # The URL that it announces as the last word of its first line.
  def url
    @url ||= line.split.last
  end

  def health
    answer = Net::HTTP.get_response(URI("#{url}/health"))
    [answer.code.to_i, JSON.parse(answer.body)]
  end

  def signal(name)
    Process.kill(name, @pid)
  end

  # Its exit code, or the signal that ended it.
  def wait
    status = Timeout.timeout(PATIENCE) { Process.wait2(@pid) }.last
    @pid = nil
    status.exitstatus || Signal.signame(status.termsig)
  end

  # All that it said on stderr, once it is at its end.
  def errors
    @reader.value
  end

  # What is left of its output.
  def rest
    @out.read
  end

  def kill
    return if @pid.nil?

    Process.kill("KILL", @pid)
    Process.wait(@pid)
  end
end
