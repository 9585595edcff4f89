// docs/bridge/engine.md: an engine in C++ that Python iterates.
// [include]
#include <nanobind/stl/string.h>
#include <agen/loops.hpp>
#include <agen/nanobind.hpp>
#include <agen/python/channel.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
// [/include]

// [generator]
auto countdown(int start) -> agen::async_generator<int, void, std::string> {
  for (int number = start; number > 0; --number) co_yield number;
  co_return "liftoff";
}
// [/generator]

// [engine]
/// An engine of another library: it blocks until it has a value.
class sensor {
 public:
  explicit sensor(double first) : value_(first) {}
  auto read() -> double {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (value_ > 1000) throw std::runtime_error("the sensor is too hot");
    return value_ *= 2;
  }

 private:
  double value_;
};
// [/engine]

// [thread]
auto readings(double first) -> agen::async_generator<double> {
  agen::channel<double> channel(1024);
  std::thread([out = channel.producer(), first] {
    try {
      sensor device(first);
      while (out.push(device.read())) continue;  // false: nobody wants more
    } catch (...) {
      out.fail();  // goes to the consumer
    }
  }).detach();
  return agen::python::items(std::move(channel));
}
// [/thread]

// [task]
auto mean(agen::async_generator<double> values) -> agen::task<double> {
  double sum = 0;
  int count = 0;
  co_await agen::for_each(std::move(values), [&](double value) {
    sum += value;
    ++count;
  });
  co_return count == 0 ? 0 : sum / count;
}
// [/task]

// [module]
NB_MODULE(engine, m) {
  agen::python::import_engine();  // refuses a package that does not fit
  m.def("countdown", &countdown);
  m.def("readings", &readings);
  m.def("mean", &mean);
}
// [/module]
