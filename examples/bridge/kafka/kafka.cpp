// A Kafka consumer for Python: `async for message in agen_kafka.consumer(settings,
// topics)`, on any event loop.
//
// librdkafka has its own threads, and signals new messages through a file descriptor of
// ours. So the body below needs no thread, no channel and no callback: it waits until
// the descriptor is readable, and takes the available messages.
#include <agen/nanobind.hpp>
#include <agen/python/event_loop.hpp>

#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <system_error>

#include "client.hpp"

namespace nb = nanobind;
namespace py = agen::python;

void bind_mock(nb::module_& m);  // mock.cpp

auto make_client(rd_kafka_type_t type,
                 std::map<std::string, std::string> const& settings,
                 std::string* failure) -> client_handle {
  owned<rd_kafka_conf_t, rd_kafka_conf_destroy> conf(rd_kafka_conf_new());
  char text[512] = "";
  for (auto const& [name, value] : settings) {
    if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), text, sizeof text) !=
        RD_KAFKA_CONF_OK) {
      throw kafka_error(text);
    }
  }
  if (failure != nullptr) {
    rd_kafka_conf_set_opaque(conf.get(), failure);
    rd_kafka_conf_set_error_cb(
        conf.get(), [](rd_kafka_t*, int code, char const* reason, void* into) {
          bool const mended = code == RD_KAFKA_RESP_ERR__TRANSPORT ||
                              code == RD_KAFKA_RESP_ERR__RESOLVE;
          if (!mended) *static_cast<std::string*>(into) = reason;
        });
  }
  client_handle made(rd_kafka_new(type, conf.get(), text, sizeof text));
  if (!made) throw kafka_error(text);
  (void)conf.release();  // the client's now
  return made;
}

namespace {

/// A client that joins its group and has subscribed.
auto subscribe(std::map<std::string, std::string> settings,
               std::vector<std::string> const& topics, std::string& failure)
    -> std::shared_ptr<rd_kafka_t> {
  // A batch is taken before Python sees its messages. The offset of a message is stored
  // when the message goes to Python, not before.
  settings.emplace("enable.auto.offset.store", "false");
  auto made = make_client(RD_KAFKA_CONSUMER, settings, &failure);
  check(rd_kafka_poll_set_consumer(made.get()), "poll_set_consumer");
  topics_handle const list(
      rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (auto const& topic : topics) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  }
  check(rd_kafka_subscribe(made.get(), list.get()), "subscribe");
  return made;
}

/// librdkafka writes to this when an empty queue gets something.
class event_descriptor {
 public:
  event_descriptor() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  event_descriptor(event_descriptor const&) = delete;
  auto operator=(event_descriptor const&) -> event_descriptor& = delete;
  ~event_descriptor() { ::close(fd_); }

  void signalled_by(rd_kafka_queue_t* queue) const {
    std::uint64_t const one = 1;
    rd_kafka_queue_io_event_enable(queue, fd_, &one, sizeof one);
  }
  [[nodiscard]] auto get() const noexcept -> int { return fd_; }
  void drain() const noexcept {
    std::uint64_t count = 0;
    while (::read(fd_, &count, sizeof count) > 0) continue;
  }

 private:
  int fd_;
};

/// Takes the available messages, up to a batch, without waiting.
class batch {
 public:
  batch(rd_kafka_queue_t* queue, std::string const& failure) noexcept
      : queue_(queue), failure_(&failure) {}
  batch(batch const&) = delete;
  auto operator=(batch const&) -> batch& = delete;
  ~batch() {
    while (next_ < count_) rd_kafka_message_destroy(taken_[next_++]);
  }
  auto refill() -> bool {
    next_ = count_ = 0;
    auto const got =
        rd_kafka_consume_batch_queue(queue_, 0, taken_.data(), taken_.size());
    if (got < 0) check(rd_kafka_last_error(), "consume");
    if (got == 0 && !failure_->empty()) throw kafka_error(*failure_);
    count_ = static_cast<std::size_t>(got);
    return count_ != 0;
  }
  [[nodiscard]] auto empty() const noexcept -> bool { return next_ == count_; }
  auto pop() noexcept -> rd_kafka_message_t* { return taken_[next_++]; }

 private:
  rd_kafka_queue_t* queue_;
  std::string const* failure_;
  std::array<rd_kafka_message_t*, 256> taken_{};
  std::size_t next_ = 0;
  std::size_t count_ = 0;
};

// [body]
auto messages(std::map<std::string, std::string> settings,
              std::vector<std::string> topics) -> agen::async_generator<message> {
  event_descriptor const event;
  py::watch wait;
  bool const stores = !settings.contains("enable.auto.offset.store");
  std::string failure;
  std::shared_ptr<rd_kafka_t> const client =
      subscribe(std::move(settings), topics, failure);
  queue_handle const queue(rd_kafka_queue_get_consumer(client.get()));
  event.signalled_by(queue.get());
  std::exception_ptr error;
  try {
    for (batch waiting(queue.get(), failure);;) {
      if (!waiting.refill()) {
        co_await wait(event.get());
        event.drain();
        continue;
      }
      while (!waiting.empty()) {
        message received(waiting.pop(), client);
        auto const& m = received.get();
        if (m.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) continue;
        check(m.err, "consume");
        if (stores) rd_kafka_offset_store(m.rkt, m.partition, m.offset);
        co_yield received;
      }
    }
  } catch (...) {  // closed, cancelled, or an error: C++ cannot await in here
    error = std::current_exception();
  }
  // A client that failed has no group to leave.
  if (!failure.empty()) std::rethrow_exception(error);
  // Leaving the group takes a round trip to the broker, awaited through the same
  // descriptor.
  queue_handle const goodbye(rd_kafka_queue_new(client.get()));
  event.signalled_by(goodbye.get());
  rd_kafka_error_destroy(rd_kafka_consumer_close_queue(client.get(), goodbye.get()));
  for (;;) {
    // Messages that were fetched but not taken come here, too; a queue that is not
    // empty does not signal.
    while (auto* const unwanted = rd_kafka_queue_poll(goodbye.get(), 0))
      rd_kafka_event_destroy(unwanted);
    if (rd_kafka_consumer_closed(client.get()) != 0) break;
    co_await wait(event.get());
    event.drain();
  }
  std::rethrow_exception(error);
}
// [/body]

/// The usual way: a blocking poll, to be called in a thread pool. For comparison.
class polling_consumer {
 public:
  polling_consumer(std::map<std::string, std::string> settings,
                   std::vector<std::string> const& topics)
      : client_(subscribe(std::move(settings), topics, failure_)) {}

  auto poll(double seconds) -> std::unique_ptr<message> {
    auto* const received = py::without_gil([&] {
      return rd_kafka_consumer_poll(client_.get(), static_cast<int>(seconds * 1000));
    });
    if (received == nullptr) {
      if (!failure_.empty()) throw kafka_error(failure_);
      return nullptr;
    }
    auto made = std::make_unique<message>(received, client_);
    if (received->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) return nullptr;
    check(received->err, "poll");
    rd_kafka_offset_store(received->rkt, received->partition, received->offset);
    return made;
  }
  void close() {
    py::without_gil([&] { rd_kafka_consumer_close(client_.get()); });
  }

 private:
  std::string failure_;
  std::shared_ptr<rd_kafka_t> client_;
};

auto bytes(void const* data, std::size_t size) -> nb::object {
  return data == nullptr ? nb::none() : nb::object(nb::bytes(data, size));
}

}  // namespace

NB_MODULE(agen_kafka, m) {
  py::import_engine();
  nb::exception<kafka_error>(m, "KafkaError");
  nb::class_<message>(m, "Message")
      .def_prop_ro(
          "value",
          [](message const& self) { return bytes(self.get().payload, self.get().len); })
      .def_prop_ro(
          "key",
          [](message const& self) { return bytes(self.get().key, self.get().key_len); })
      .def_prop_ro(
          "topic",
          [](message const& self) { return rd_kafka_topic_name(self.get().rkt); })
      .def_prop_ro("partition",
                   [](message const& self) { return self.get().partition; })
      .def_prop_ro("offset", [](message const& self) { return self.get().offset; });
  m.def(
      "consumer",
      [](std::map<std::string, std::string> settings, std::vector<std::string> topics) {
        return py::fair(messages(std::move(settings), std::move(topics)));
      },
      nb::arg("settings"), nb::arg("topics"));
  nb::class_<polling_consumer>(m, "PollingConsumer")
      .def(nb::init<std::map<std::string, std::string>,
                    std::vector<std::string> const&>(),
           nb::arg("settings"), nb::arg("topics"))
      .def("poll", &polling_consumer::poll, nb::arg("seconds"))
      .def("close", &polling_consumer::close);
  bind_mock(m);
}
