// load_json_lines over a TCP socket on loopback: Asio reads, one generator turns bytes
// into lines, another turns lines into JSON, a third delegates to it.
#include <agen/asio.hpp>

#include <algorithm>
#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/use_future.hpp>
#include <asio/write.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

using asio::ip::tcp;
using nlohmann::json;

// [lines]
auto lines(tcp::socket socket) -> agen::async_generator<std::string> {
  std::array<char, 1024> received;
  std::string text;  // no line's end is in it when more is read
  for (;;) {
    std::size_t size = 0;
    try {
      size = co_await socket.async_read_some(asio::buffer(received), agen::use_agen);
    } catch (asio::system_error const& error) {
      if (error.code() != asio::error::eof) throw;
      co_return;
    }
    text.append(received.data(), size);
    for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;) {
      std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      co_yield line;
    }
  }
}

auto load_json_lines(tcp::socket socket) -> agen::async_generator<json> {
  auto stream = lines(std::move(socket));
  while (auto line = co_await stream.anext()) co_yield json::parse(*line);
}

auto wrap_load_json_lines(tcp::socket socket) -> agen::async_generator<json> {
  co_await agen::yield_from(load_json_lines(std::move(socket)));
}
// [/lines]

auto serve(tcp::acceptor acceptor) -> agen::task<> {
  tcp::socket peer = co_await acceptor.async_accept(agen::use_agen);
  std::string const text =
      "{\"name\": \"one\", \"size\": 1}\n"
      "{\"name\": \"two\", \"size\": 2}\n"
      "{\"name\": \"three\"}\n";
  // In pieces that do not end where lines do.
  for (std::size_t at = 0; at < text.size(); at += 20) {
    co_await asio::async_write(
        peer,
        asio::buffer(text.data() + at, std::min<std::size_t>(20, text.size() - at)),
        agen::use_agen);
  }
}

auto receive(asio::io_context& context, tcp::endpoint server) -> agen::task<> {
  tcp::socket socket(context);
  co_await socket.async_connect(server, agen::use_agen);
  co_await agen::aclosing(
      wrap_load_json_lines(std::move(socket)), [](auto& objects) -> agen::task<> {
        while (auto object = co_await objects.anext()) {
          std::string const name = object->at("name");
          std::printf("%s: %d\n", name.c_str(), object->value("size", 0));
        }
      });
}

auto main() -> int {
  asio::io_context context;
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  auto const server = acceptor.local_endpoint();
  auto served =
      agen::spawn(context.get_executor(), serve(std::move(acceptor)), asio::use_future);
  auto received =
      agen::spawn(context.get_executor(), receive(context, server), asio::use_future);
  context.run();
  served.get();
  received.get();
}
