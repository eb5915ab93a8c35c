# A Rack app without gems of its own.
run lambda { |env|
  [200, { "content-type" => "text/html; charset=utf-8" },
   ["<!doctype html><title>Ruby</title><h1>Hello from Rack</h1><p>#{RUBY_VERSION}</p>"]]
}
