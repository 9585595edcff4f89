// Owners of libpq's handles, its errors as exceptions, and a connection for Python.
#ifndef AGEN_EXAMPLE_POSTGRESQL_CONNECTION_HPP
#define AGEN_EXAMPLE_POSTGRESQL_CONNECTION_HPP

#include <libpq-fe.h>

#include <agen/future.hpp>
#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
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

using result_handle = owned<PGresult, PQclear>;
using cancel_handle = owned<PGcancel, PQfreeCancel>;

class postgresql_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using parameters = std::vector<std::optional<std::string>>;

/// A session with a server. It runs one query at a time; nothing in here waits.
class connection {
 public:
  /// Begins to connect: poll() goes on.
  explicit connection(std::string const& settings)
      : handle_(PQconnectStart(settings.c_str())) {
    if (!handle_) throw std::bad_alloc();
    if (PQstatus(handle_.get()) == CONNECTION_BAD) fail();
  }

  auto poll() -> PostgresPollingStatusType {
    auto const state = PQconnectPoll(handle_.get());
    if (state == PGRES_POLLING_FAILED) fail();
    if (state == PGRES_POLLING_OK && PQsetnonblocking(handle_.get(), 1) != 0) fail();
    return state;
  }
  [[nodiscard]] auto socket() const noexcept -> int { return PQsocket(handle_.get()); }
  [[nodiscard]] auto open() const noexcept -> bool {
    return PQstatus(handle_.get()) == CONNECTION_OK;
  }
  void close() noexcept { handle_.reset(); }

  /// The next rows come one by one, not when all are here.
  void send(std::string const& sql, parameters const& values) {
    std::vector<char const*> texts;
    texts.reserve(values.size());
    for (auto const& value : values) texts.push_back(value ? value->c_str() : nullptr);
    if (PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(texts.size()),
                          nullptr, texts.data(), nullptr, nullptr, 0) == 0 ||
        PQsetSingleRowMode(handle_.get()) == 0) {
      fail();
    }
  }
  /// False while the socket does not take all.
  auto flush() -> bool {
    auto const left = PQflush(handle_.get());
    if (left < 0) fail();
    return left == 0;
  }
  void read() {
    if (PQconsumeInput(handle_.get()) == 0) fail();
  }
  /// Whether next() would wait.
  [[nodiscard]] auto busy() const noexcept -> bool {
    return PQisBusy(handle_.get()) != 0;
  }
  /// A row or another answer; nothing at the end of the query.
  auto next() noexcept -> result_handle {
    return result_handle(PQgetResult(handle_.get()));
  }

  /// Asks the server to end the query. The request goes over a connection of its own,
  /// and libpq blocks for that: a thread does it.
  auto cancel() const -> agen::future<void> {
    agen::promise<void> done;
    auto future = done.get_future();
    std::thread([done, request = cancel_handle(PQgetCancel(handle_.get()))] {
      std::array<char, 256> text{};
      if (PQcancel(request.get(), text.data(), text.size()) != 0) {
        done.set_value();
      } else {
        done.set_exception(std::make_exception_ptr(postgresql_error(text.data())));
      }
    }).detach();
    return future;
  }

  /// A query under way. If it is not at its end when this is destroyed, the rest of it
  /// would be taken for the next one's: the connection is closed.
  class query {
   public:
    explicit query(connection& on) : on_(on) {
      if (!on.handle_) throw postgresql_error("the connection is closed");
      if (on.running_) throw postgresql_error("the connection runs another query");
      on.running_ = true;
    }
    query(query const&) = delete;
    auto operator=(query const&) -> query& = delete;
    ~query() {
      if (on_.handle_ && PQtransactionStatus(on_.handle_.get()) == PQTRANS_ACTIVE)
        on_.close();
      on_.running_ = false;
    }

   private:
    connection& on_;
  };

 private:
  [[noreturn]] void fail() const {
    throw postgresql_error(PQerrorMessage(handle_.get()));
  }

  owned<PGconn, PQfinish> handle_;
  bool running_ = false;
};

#endif  // AGEN_EXAMPLE_POSTGRESQL_CONNECTION_HPP
