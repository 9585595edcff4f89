// The module my_engine._engine: what Python sees of the engine.
#include <agen/nanobind.hpp>
#include <agen/python/channel.hpp>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <thread>

namespace {

/// Your engine stands here: it blocks until it has a value.
class sensor {
 public:
  auto read() -> double {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (value_ > 1000) throw std::runtime_error("the sensor is too hot");
    return value_ *= 2;
  }

 private:
  double value_ = 1;
};

/// Reads on a thread of its own; a channel holds up to `ahead` values for the consumer.
auto readings(std::size_t ahead) -> agen::async_generator<double> {
  agen::channel<double> channel(ahead);
  std::thread([out = channel.producer()] {
    try {
      sensor device;
      while (out.push(device.read())) continue;  // false: no more are wanted
    } catch (...) {
      out.fail();  // raised by async for
    }
  }).detach();
  return agen::python::items(std::move(channel));
}

}  // namespace

NB_MODULE(_engine, m) {
  agen::python::import_engine();  // an installed async_generator that does not fit is
                                  // an ImportError
  m.def("readings", &readings, nanobind::arg("ahead") = 64);
}
