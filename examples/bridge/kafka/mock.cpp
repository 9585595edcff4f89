// librdkafka's own test broker, in this process, so that the example runs without a
// Kafka.
#include "client.hpp"

#include <librdkafka/rdkafka_mock.h>  // after rdkafka.h, which client.hpp includes
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>

namespace nb = nanobind;

namespace {

/// One broker, and a producer that fills it.
class mock_cluster {
 public:
  mock_cluster()
      : client_(make_client(RD_KAFKA_PRODUCER, {{"log_level", "2"}})),
        cluster_(rd_kafka_mock_cluster_new(client_.get(), 1)) {
    if (!cluster_) throw kafka_error("the mock cluster does not start");
    producer_ = make_client(
        RD_KAFKA_PRODUCER,
        {{"bootstrap.servers", servers()}, {"log_level", "2"}, {"linger.ms", "5"}});
  }

  [[nodiscard]] auto servers() const -> std::string {
    return rd_kafka_mock_cluster_bootstraps(cluster_.get());
  }
  void create_topic(std::string const& name, int partitions) {
    check(rd_kafka_mock_topic_create(cluster_.get(), name.c_str(), partitions, 1),
          "create_topic");
  }
  /// Produces `count` messages; a value is its number and dots up to `size`. Returns
  /// when the broker has them all.
  void produce(std::string const& topic, int count, std::size_t size) {
    nb::gil_scoped_release const released;
    for (int i = 0; i < count; ++i) {
      std::string value = std::to_string(i);
      value.resize(std::max(size, value.size()), '.');
      while (rd_kafka_producev(producer_.get(), RD_KAFKA_V_TOPIC(topic.c_str()),
                               RD_KAFKA_V_PARTITION(0),
                               RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                               RD_KAFKA_V_VALUE(value.data(), value.size()),
                               RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(producer_.get(), 10);
      }
    }
    check(rd_kafka_flush(producer_.get(), 30'000), "flush");
  }
  /// The broker drops its connections and takes no new ones.
  void die() { check(rd_kafka_mock_broker_set_down(cluster_.get(), 1), "die"); }

 private:
  client_handle client_;  // what the cluster runs in
  owned<rd_kafka_mock_cluster_t, rd_kafka_mock_cluster_destroy> cluster_;
  client_handle producer_;
};

}  // namespace

void bind_mock(nb::module_& m) {
  nb::class_<mock_cluster>(m, "MockCluster")
      .def(nb::init<>())
      .def_prop_ro("servers", &mock_cluster::servers)
      .def("create_topic", &mock_cluster::create_topic, nb::arg("name"),
           nb::arg("partitions") = 1)
      .def("produce", &mock_cluster::produce, nb::arg("topic"), nb::arg("count"),
           nb::arg("size") = 50)
      .def("die", &mock_cluster::die);
}
