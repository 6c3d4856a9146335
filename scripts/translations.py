#!/usr/bin/env python
"""Keep the editions in other languages in step with the English one. For translators.

Brings the catalogues in mnist_rknn/locale in step with README, docs, notebooks and the words of
the package, compiles them, and makes README.<code>.md, docs/<code>/ and notebooks/<code>/ of them.
What has no translation that is up to date stands there in English, is named, and ends it with 1.
--check writes nothing.

\b
python scripts/translations.py
python scripts/translations.py --check
"""

import sys

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import command
from mnist_rknn.files import relative


@click.command("translations", help=__doc__)
@click.option("--check", is_flag=True, help="Change nothing.")
@command.answers
def translations(check: bool):
    from mnist_rknn.translation import code as words
    from mnist_rknn.translation import editions, rules, scope

    done, lines = [], []
    for code in scope.CODES:
        edition = editions.Edition(code)
        if not check:
            done += [*words.update(code), *edition.update_catalogues()]
            done += editions.write(edition.pages())
        lines += words.stale(code) + [str(line) for line in edition.stale()]
        lines += rules.broken(edition)
        behind = editions.behind(edition.pages())
        lines += [f"{relative(path)} is not what its catalogue says" for path in behind]
    text = [f"written    {relative(path)}" for path in done]
    cure = "translate it in its catalogue (docs/contributing.md), then make translations"
    text += [f"{line}: {cure}" for line in lines]
    return command.Answer(lines, "\n".join(text), ok=not lines)


if __name__ == "__main__":
    sys.exit(command.start(translations, name="scripts/translations.py"))
