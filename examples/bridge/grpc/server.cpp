// The server that the tests and the comparison talk to: prints its port, and
// "cancelled" or "finished" for each call.
#include "tokens.grpc.pb.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <thread>

namespace {

class service final : public tokens::Model::Service {
  auto Generate(grpc::ServerContext* context, tokens::Prompt const* prompt,
                grpc::ServerWriter<tokens::Token>* writer) -> grpc::Status override {
    if (prompt->text().empty())
      return {grpc::StatusCode::INVALID_ARGUMENT, "the prompt is empty"};
    tokens::Token token;
    for (std::int64_t i = 0; prompt->count() == 0 || i < prompt->count(); ++i) {
      if (prompt->microseconds() != 0)
        std::this_thread::sleep_for(std::chrono::microseconds(prompt->microseconds()));
      token.set_index(i);
      token.set_text("token" + std::to_string(i));
      if (context->IsCancelled() || !writer->Write(token)) {
        say("cancelled");
        return grpc::Status::CANCELLED;
      }
    }
    say("finished");
    return grpc::Status::OK;
  }
  static void say(char const* what) {
    std::puts(what);
    std::fflush(stdout);
  }
};

}  // namespace

auto main() -> int {
  service model;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&model);
  auto const server = builder.BuildAndStart();
  if (!server) return 1;
  std::printf("%d\n", port);
  std::fflush(stdout);
  server->Wait();
}
