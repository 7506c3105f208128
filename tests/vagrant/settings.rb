# Prints what a Vagrantfile sets, as JSON: {"libvirt.memory": [[4096]], ...}; no Vagrant needed.
#
#   ruby settings.rb VAGRANTFILE

require "json"

SETTINGS = Hash.new { |all, name| all[name] = [] }

# Takes whatever is set, and gives itself for whatever is asked.
class Recorder
  def initialize(name)
    @name = name
  end

  def method_missing(setting, *values, **named, &block)
    path = [@name, setting.to_s.delete_suffix("=")].compact.join(".")
    SETTINGS[path] << (named.empty? ? values : values + [named]) unless values.empty? && named.empty?
    inner = Recorder.new(%i[provider provision].include?(setting) ? values.first.to_s : path)
    block.call(inner) if block && %i[provider provision].include?(setting)
    inner
  end

  def respond_to_missing?(*)
    true
  end
end

module Vagrant
  def self.configure(_version)
    yield Recorder.new(nil)
  end
end

load File.expand_path(ARGV.fetch(0))
puts JSON.generate(SETTINGS)
