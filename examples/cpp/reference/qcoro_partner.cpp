// The code that docs/cpp/other_runtimes.md shows of QCoro.
#include <agen/agen.hpp>

#include <qcorotask.h>
#include <qcorotimer.h>
#include <QCoreApplication>
#include <QTimer>
#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

// [inside]
auto ticks(int n) -> agen::async_generator<int> {
  QTimer timer;
  timer.start(1ms);
  for (int i = 0; i < n; ++i) {
    co_await qCoro(timer).waitForTimeout();
    co_yield i;
  }
}
// [/inside]

// [outside]
auto consume() -> QCoro::Task<int> {
  int sum = 0;
  auto gen = ticks(3);
  while (auto item = co_await gen.anext()) {
    std::printf("tick %d\n", *item);
    sum += *item;
  }
  co_return sum;
}
auto twice() -> agen::task<int> {  // a task of QCoro's in one of agen's
  int first = co_await consume();
  co_return first + co_await consume();
}
// [/outside]

// [task]
auto run() -> QCoro::Task<> {
  // QCoro takes awaiters and objects that have an operator co_await for lvalues.
  int sum = co_await twice().operator co_await();
  std::printf("sum %d\n", sum);
}
// [/task]

auto main(int argc, char** argv) -> int {
  QCoreApplication application(argc, argv);
  QCoro::waitFor(run());
}
