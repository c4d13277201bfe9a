# frozen_string_literal: true

require_relative "lib/tasker_worker/version"

Gem::Specification.new do |spec|
  spec.name = "tasker_worker"
  spec.version = TaskerWorker::VERSION
  spec.summary = "Workflow steps in Ruby, on the Rust worker core"
  spec.authors = ["The tasker maintainers"]
  spec.licenses = ["MIT", "Apache-2.0"]
  spec.required_ruby_version = ">= 3.1"

  # With the native part in it: for this platform, and the Ruby that it was built for.
  spec.platform = Gem::Platform::CURRENT
  spec.files = Dir.glob(["README.md", "exe/*", "lib/**/*.{rb,so,bundle}"], base: __dir__)
  spec.bindir = "exe"
  spec.executables = ["tasker-worker-ruby"]

  spec.add_development_dependency "rspec", "~> 3.12"
  spec.add_development_dependency "rspec_junit_formatter", "~> 0.4"
  spec.add_development_dependency "rubocop", "~> 1.39"
end
