"""The command line of ``leakwatch ps``: smem's letters."""

from __future__ import annotations

import argparse

from leakwatch.cli.arguments import file_name
from leakwatch.ps.views import MAPPINGS, PROCESSES, SYSTEM, USERS

EPILOG = """\
examples:
  sudo leakwatch ps -k -t                       every process, the largest PSS last, with totals
  sudo leakwatch ps -r -s uss -c 'pid name uss swap' | head
  sudo leakwatch ps -P '^postgres' -t           the processes of one program together
  sudo leakwatch ps -u -p                       by user, as shares of the machine's memory
  sudo leakwatch ps -m -M '\\.so' -s rss -k      by library
  leakwatch ps -w -k                            the whole machine
  sudo leakwatch ps --bar                       bars in the terminal
  sudo leakwatch ps --pie name -s uss -o memory.svg
  sudo smemcap > now.tar; leakwatch ps -S now.tar -k
  sudo leakwatch ps --format json | jq 'max_by(.pss_bytes)'

The letters are smem's: -p is percent, and a process id is --pid. Patterns are regular expressions (Python's) found
anywhere in the text. Sizes are KiB unless -k or -p is given; JSON has bytes. What could not be read is told on
standard error. Columns, for -c, -s, --bar and --pie:
{columns}"""


def add_arguments(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> argparse.ArgumentParser:
    """Add the verb and return its parser."""
    parser = verbs.add_parser(
        "ps",
        parents=[common],
        help=text,
        description="Shows who holds memory now, as smem does: by process, or by user (-u), mapping (-m), whole system "
        "(-w). Needs no daemon and no store.",
        epilog=EPILOG.format(columns=_columns()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    view = parser.add_mutually_exclusive_group()
    view.add_argument("-u", "--users", action="store_true", help="one line a user")
    view.add_argument("-m", "--mappings", action="store_true", help="one line a file or area that is mapped")
    view.add_argument("-w", "--system", action="store_true", help="the whole machine: kernel, processes, free")
    parser.add_argument(
        "-P", "--processfilter", metavar="REGEX", help="processes by name or command line, but this one"
    )
    parser.add_argument("-U", "--userfilter", metavar="REGEX", help="processes by owner")
    parser.add_argument("-M", "--mapfilter", metavar="REGEX", help="of every process only what it maps of that name")
    parser.add_argument("--pid", type=int, action="append", default=[], metavar="PID", help="this process; repeatable")
    parser.add_argument("-c", "--columns", metavar="LIST", help="columns to show, apart by blanks or commas")
    parser.add_argument("-s", "--sort", metavar="COLUMN", help="column to sort by (default: pss)")
    parser.add_argument("-r", "--reverse", action="store_true", help="the largest first")
    parser.add_argument("-k", "--abbreviate", action="store_true", help="sizes with unit suffixes, like 3.1M")
    parser.add_argument("-p", "--percent", action="store_true", help="sizes as shares of memory, or of swap")
    parser.add_argument("-t", "--totals", action="store_true", help="totals below")
    parser.add_argument("-H", "--no-header", action="store_true", help="no line of headings")
    parser.add_argument("-n", "--numeric", action="store_true", help="user ids instead of names")
    parser.add_argument("-a", "--autosize", action="store_true", help="for smem's sake: columns always fit here")
    parser.add_argument(
        "-R", "--realmem", metavar="SIZE", help="memory built in, like 16GiB: what is 100 %%, and for -w"
    )
    chart = parser.add_mutually_exclusive_group()
    chart.add_argument(
        "--bar", metavar="LABEL", nargs="?", const="", help="bars, named by this column (default: name, user, map)"
    )
    chart.add_argument("--pie", metavar="LABEL", nargs="?", const="", help="shares of memory, small ones together")
    parser.add_argument(
        "-o", "--output", type=file_name, metavar="FILE", help="the chart as .png, .svg or .pdf; needs matplotlib"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE where it is there already")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    root = parser.add_mutually_exclusive_group()
    root.add_argument("--proc", metavar="ROOT", default="/proc", help="the /proc tree to read (default: /proc)")
    root.add_argument("-S", "--source", metavar="FILE", help="a capture by smemcap, or a directory with proc in it")
    return parser


def _columns() -> str:
    views = {"by process": PROCESSES, "-u": USERS, "-m": MAPPINGS, "-w": SYSTEM}
    lines = [f"  {name + ':':<12} {' '.join(view.columns)}\n" for name, view in views.items()]
    return "".join(lines)
