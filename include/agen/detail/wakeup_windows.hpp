// What a wakeup is made of on Windows: two sockets that are connected, as event loops there watch nothing else in the
// same way. A socket is given as an int: its upper half is never used (OpenSSL and Python rely on that, too).
#ifndef AGEN_DETAIL_WAKEUP_WINDOWS_HPP
#define AGEN_DETAIL_WAKEUP_WINDOWS_HPP

#include "compiler.hpp"  // first: see there

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <winsock2.h>

#include <mutex>
#include <system_error>
#include <utility>

#ifdef _MSC_VER
#pragma comment(lib, "ws2_32")  // others link it by name, as agen::agen of CMake does
#endif

namespace agen::detail {

[[noreturn]] inline void raise_system_error(char const* what) {
  AGEN_THROW(std::system_error(::WSAGetLastError(), std::system_category(), what));
}

/// Once, for as long as the process lives: Wine's count of users is no count when threads race for it.
inline void load_winsock() {
  static int const error = [] {
    WSADATA data;
    return ::WSAStartup(MAKEWORD(2, 2), &data);
  }();
  if (error != 0) AGEN_THROW(std::system_error(error, std::system_category(), "agen::channel: WSAStartup"));
}

class socket_handle {
 public:
  explicit socket_handle(SOCKET handle) : handle_(handle) {
    if (handle == INVALID_SOCKET) raise_system_error("agen::channel: socket");
  }
  /// A stream that no child process inherits.
  static auto stream() -> socket_handle {
    load_winsock();
    return socket_handle(
        ::WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, nullptr, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT));
  }
  socket_handle(socket_handle&& other) noexcept : handle_(std::exchange(other.handle_, INVALID_SOCKET)) {}
  auto operator=(socket_handle&& other) noexcept -> socket_handle& {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~socket_handle() {
    if (handle_ != INVALID_SOCKET) ::closesocket(handle_);
  }

  [[nodiscard]] auto get() const noexcept -> SOCKET { return handle_; }
  [[nodiscard]] auto release() noexcept -> SOCKET { return std::exchange(handle_, INVALID_SOCKET); }

 private:
  SOCKET handle_;
};

using socket_address = sockaddr_in;
/// One end's address: `ask` is getsockname or getpeername.
template <class Ask>
auto address_by(Ask ask, SOCKET handle) -> socket_address {
  socket_address found{};
  int size = sizeof found;
  if (ask(handle, reinterpret_cast<sockaddr*>(&found), &size) != 0) raise_system_error("agen::channel: getsockname");
  return found;
}

/// Readable from signal() to drain(). Neither of them blocks. Several signals before one drain() count as one.
class wakeup {
 public:
  wakeup() : reading_(connected_to(writing_)) {
    unsigned long on = 1;
    int const at_once = 1;
    ::setsockopt(writing_.get(), IPPROTO_TCP, TCP_NODELAY, reinterpret_cast<char const*>(&at_once), sizeof at_once);
    for (SOCKET const end : {reading_.get(), writing_.get()}) {
      if (::ioctlsocket(end, static_cast<long>(FIONBIO), &on) != 0) raise_system_error("agen::channel: ioctlsocket");
    }
  }

  [[nodiscard]] auto descriptor() const noexcept -> int { return static_cast<int>(reading_.get()); }
  void signal() const noexcept {
    // One at a time: of two threads that send at once, Wine tells one that there is no room, and loses its signal.
    std::lock_guard const lock(sending_);
    char const one = 1;
    ::send(writing_.get(), &one, 1, 0);  // where there is no room for it, there are signals enough
  }
  void drain() const noexcept {
    char pending[64];
    while (::recv(reading_.get(), pending, sizeof pending, 0) == static_cast<int>(sizeof pending)) continue;
  }

 private:
  static auto connected_to(socket_handle const& writing) -> socket_handle {
    auto const listening = socket_handle::stream();
    socket_address here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    if (::bind(listening.get(), reinterpret_cast<sockaddr const*>(&here), sizeof here) != 0 ||
        ::listen(listening.get(), 8) != 0)
      raise_system_error("agen::channel: listen");
    here = address_by(&::getsockname, listening.get());
    if (::connect(writing.get(), reinterpret_cast<sockaddr const*>(&here), sizeof here) != 0)
      raise_system_error("agen::channel: connect");
    auto const ours = address_by(&::getsockname, writing.get());
    for (;;) {  // another program may have been faster
      socket_handle accepted(::accept(listening.get(), nullptr, nullptr));
      auto const peer = address_by(&::getpeername, accepted.get());
      if (peer.sin_port == ours.sin_port && peer.sin_addr.s_addr == ours.sin_addr.s_addr) return accepted;
    }
  }

  socket_handle const writing_ = socket_handle::stream();
  socket_handle const reading_;
  std::mutex mutable sending_;
};

/// Blocks the thread until the socket is readable. Throws std::system_error.
inline void block_until_readable(int descriptor) {
  WSAPOLLFD watched{static_cast<SOCKET>(descriptor), POLLRDNORM, 0};
  if (::WSAPoll(&watched, 1, -1) < 0) raise_system_error("agen::blocking_wait: WSAPoll");
}

/// A handle of one's own to the same socket. Throws std::system_error.
inline auto duplicated(int descriptor) -> socket_handle {
  WSAPROTOCOL_INFOW shared;
  if (::WSADuplicateSocketW(static_cast<SOCKET>(descriptor), ::GetCurrentProcessId(), &shared) != 0)
    raise_system_error("agen::readable_on: WSADuplicateSocket");
  return socket_handle(::WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &shared, 0,
                                    WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT));
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_WAKEUP_WINDOWS_HPP
