"""What this package gains, in three acts; each with native generators and with async_generator 1.10 beside it.

1. JSON lines over TCP, through two generators: what an item costs where the rest of the program costs, too.
2. A tree that is walked by delegation: where the gain is greatest.
3. A server that streams: heartbeats, a timeout, clients that leave, and the errors that native generators answer with.

With --web the third act can be looked at in a browser.
"""

import argparse
import platform
import sys

import lines
import server
import tree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000, help="of the first act")
    parser.add_argument("--nodes", type=int, default=20_000, help="of the second act's tree")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn; the best counts")
    parser.add_argument("--web", action="store_true", help="serve the third act to a browser, until Ctrl-C")
    arguments = parser.parse_args()
    if arguments.web:
        return server.serve_web()
    print(f"Python {platform.python_version()}")
    acts = (
        lambda: lines.act(arguments.lines, arguments.rounds),
        lambda: tree.act(arguments.nodes, arguments.rounds),
        server.act,
    )
    right = [act() for act in acts]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
