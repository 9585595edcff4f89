// A gRPC stream for Python: `async for token in model.generate(text, count)`, on any
// event loop.
//
// gRPC reads a stream by a blocking call, so the stream has a thread, and a channel
// carries what the thread reads. Closing or cancelling the generator cancels the call,
// which ends the thread.
#include "tokens.grpc.pb.h"

#include <agen/nanobind.hpp>
#include <agen/python/channel.hpp>

#include <grpcpp/grpcpp.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <stdexcept>
#include <thread>

namespace nb = nanobind;

namespace {

class rpc_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class model : public std::enable_shared_from_this<model> {
 public:
  explicit model(std::string const& address)
      : stub_(tokens::Model::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {}

  // [generate]
  auto generate(std::string text, std::int64_t count, std::int64_t microseconds)
      -> agen::async_generator<tokens::Token> {
    agen::channel<tokens::Token> channel(1024);
    tokens::Prompt prompt;
    prompt.set_text(std::move(text));
    prompt.set_count(count);
    prompt.set_microseconds(microseconds);
    std::thread([out = channel.producer(), self = shared_from_this(),
                 prompt = std::move(prompt)]() mutable {
      // Destroyed after the thread has done everything else.
      auto const mine = std::move(out);
      self->read(prompt, mine);
    }).detach();
    return agen::python::items(std::move(channel));
  }
  // [/generate]

 private:
  // [read]
  void read(tokens::Prompt const& prompt, agen::producer<tokens::Token> const& out) {
    grpc::ClientContext context;
    std::stop_callback const cancel(out.stop_token(), [&] { context.TryCancel(); });
    auto const stream = stub_->Generate(&context, prompt);
    for (tokens::Token token; stream->Read(&token) && out.push(std::move(token));)
      continue;
    grpc::Status const status = stream->Finish();
    if (!status.ok())
      out.fail(std::make_exception_ptr(rpc_error(status.error_message())));
  }
  // [/read]

  std::unique_ptr<tokens::Model::Stub> stub_;
};

}  // namespace

NB_MODULE(agen_grpc, m) {
  agen::python::import_engine();
  nb::exception<rpc_error>(m, "RpcError");
  nb::class_<tokens::Token>(m, "Token")
      .def_prop_ro("index", [](tokens::Token const& self) { return self.index(); })
      .def_prop_ro("text", [](tokens::Token const& self) { return self.text(); });
  nb::class_<model>(m, "Model")
      .def(nb::new_([](std::string const& address) {
             return std::make_shared<model>(address);
           }),
           nb::arg("address"))
      .def("generate", &model::generate, nb::arg("text"), nb::arg("count") = 0,
           nb::arg("microseconds") = 0);
}
