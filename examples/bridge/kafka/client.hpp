// Owners of librdkafka's handles, its errors as exceptions, and a message for Python.
#ifndef AGEN_EXAMPLE_KAFKA_CLIENT_HPP
#define AGEN_EXAMPLE_KAFKA_CLIENT_HPP

#include <librdkafka/rdkafka.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

template <auto Destroy>
struct destroys {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    Destroy(handle);
  }
};
template <class Handle, auto Destroy>
using owned = std::unique_ptr<Handle, destroys<Destroy>>;

/// Does not leave the group, which would wait for the broker: the body awaits that.
inline void destroy_client(rd_kafka_t* client) noexcept {
  rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

using client_handle = owned<rd_kafka_t, destroy_client>;
using queue_handle = owned<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using topics_handle =
    owned<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>;

class kafka_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
inline void check(rd_kafka_resp_err_t code, char const* doing) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    throw kafka_error(std::string(doing) + ": " + rd_kafka_err2str(code));
}

/// A client with these settings (librdkafka's CONFIGURATION.md). While the
/// client is polled, errors that librdkafka cannot repair are written to `failure`, if
/// given. Throws kafka_error.
auto make_client(rd_kafka_type_t type,
                 std::map<std::string, std::string> const& settings,
                 std::string* failure = nullptr) -> client_handle;

/// A message in librdkafka's own memory, not copied. It keeps its client alive:
/// rd_kafka_destroy() waits for the last message, so it would wait for ever if Python
/// kept one after the consumer was gone.
class message {
 public:
  message(rd_kafka_message_t* received, std::shared_ptr<rd_kafka_t> client) noexcept
      : client_(std::move(client)), received_(received) {}
  [[nodiscard]] auto get() const noexcept -> rd_kafka_message_t const& {
    return *received_;
  }

 private:
  std::shared_ptr<rd_kafka_t> client_;
  owned<rd_kafka_message_t, rd_kafka_message_destroy> received_;
};

#endif
