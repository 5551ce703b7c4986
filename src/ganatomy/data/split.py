"""Who may learn from whom: the one module that gives images a role, and it gives it to patients.

train    learned from
select   checkpoints, ratios and thresholds are chosen on it
holdout  the real yardstick; nothing is chosen on it
test     opened by the utility trial alone, once

Knows patients, classes and the split a source came with. Does not open a pixel.
"""

from collections import Counter
from dataclasses import dataclass

from ganatomy.core.cohort import HOLDOUT, ROLES, SELECT, TEST, TRAIN, Cohort
from ganatomy.core.errors import InputError
from ganatomy.core.seed import rng
from ganatomy.core.settings import Settings, option

VALIDATION = "val"  # what other programs' splits call what becomes select and holdout


@dataclass(frozen=True)
class Split(Settings):
    """Shares of the patients. A split the source came with is kept: train, test; its val becomes select and holdout."""

    train_share: float = option(0.55, "share of the patients to learn from")
    select_share: float = option(0.10, "share of the patients on which choices are made")
    holdout_share: float = option(0.15, "share of the patients kept as the real yardstick")
    folds: int = option(5, "number of test folds; the test share is one fold")
    fold: int = option(0, "which fold is the test, from 0")
    split_seed: int = option(0, "seed of the split")


def apportion(members: dict[str, Counter[str]], shares: dict[str, float], seed: int, purpose: str) -> dict[str, str]:
    """Give each patient a part so that each part gets its share of every class, rare classes first.

    members: patient -> images per class; shares: part -> weight. Patients come in an order drawn from the seed, those
    with the rarest class and the most images first; each goes where the classes it carries are furthest below their
    share (iterative stratification, Sechidis et al. 2011, with patients as the unit). While there are no more patients
    of a class than parts without it, only those parts are served: as far as patients reach, no part goes without.
    """
    total: Counter[str] = sum(members.values(), Counter())
    weight = {part: share / sum(shares.values()) for part, share in shares.items() if share > 0}
    drawn = rng(seed, purpose).permutation(sorted(members)).tolist()
    rank = {who: i for i, who in enumerate(drawn)}
    rarest = {who: min(total[label] for label in own) for who, own in members.items()}
    order = sorted(drawn, key=lambda who: (rarest[who], -sum(members[who].values()), rank[who]))
    have: dict[str, Counter[str]] = {part: Counter() for part in weight}
    left = Counter(label for own in members.values() for label in own)  # patients of a class still to come
    out = {}
    for who in order:
        own = members[who]
        # need: how many images of the patient's rarest class the part still lacks, then of all its classes
        rare = min(own, key=lambda label: (total[label], label))

        def need(part: str, rare: str = rare, own: Counter[str] = own) -> tuple[float, float]:
            lack = {label: weight[part] * total[label] - have[part][label] for label in own}
            return (lack[rare], sum(lack[label] / total[label] for label in own))

        without = [part for part in weight if not have[part][rare]]
        out[who] = max(without if left[rare] <= len(without) else weight, key=need)
        have[out[who]] += own
        left.subtract(own.keys())
    return out


def split(cohort: Cohort, settings: Split | None = None) -> Cohort:
    """The cohort with a role for every image.

    Roles already given are kept if they are the four of ROLES; train / val / test of another program are kept as far as
    they go. Raises InputError where a patient is in two given roles (by name), a role word is unknown, or a class has
    fewer than two patients to learn from and test on.
    """
    settings = settings or Split()
    if not 0 <= settings.fold < settings.folds or settings.folds < 2:
        raise InputError(f"--fold {settings.fold} is not one of 0 to {settings.folds - 1}; --folds must be 2 or more")
    rest = {TRAIN: settings.train_share, SELECT: settings.select_share, HOLDOUT: settings.holdout_share}
    for part, share in rest.items():
        if share <= 0:
            raise InputError(f"--{part}-share {share:g} leaves no patient for the role '{part}'; give it more than 0")
    if sum(rest.values()) > 1:
        raise InputError(
            f"--train-share, --select-share and --holdout-share make {sum(rest.values()):g}, more than all"
        )
    if len(cohort.classes) < 2:
        raise InputError(
            f"{cohort.name} holds one class only ({cohort.classes[0]}); to balance classes at least two are needed: "
            "give the folder that holds a sub-folder for each class"
        )
    members: dict[str, Counter[str]] = {}
    for who, label in zip(cohort.patients, cohort.labels, strict=True):
        members.setdefault(who, Counter())[label] += 1
    given = _given(cohort)
    role = {who: word for who, word in given.items() if word in ROLES}

    def share_out(whom: list[str], shares: dict[str, float], purpose: str) -> None:
        role.update(apportion({who: members[who] for who in whom}, shares, settings.split_seed, purpose))

    if not given:
        parts = {str(k): 1.0 for k in range(settings.folds)}
        blocks = apportion(members, parts, settings.split_seed, "folds")
        role.update({who: TEST for who, block in blocks.items() if block == str(settings.fold)})
        share_out([who for who in members if who not in role], rest, f"fold {settings.fold}")
    elif VALIDATION in given.values():
        halves = {part: rest[part] for part in (SELECT, HOLDOUT)}
        share_out([who for who, word in given.items() if word == VALIDATION], halves, "validation")
    elif set(given.values()) <= {TRAIN, TEST}:
        share_out([who for who, word in given.items() if word == TRAIN], rest, "validation")
    table = cohort.table.copy()
    table["role"] = [role[who] for who in cohort.patients]
    table["fold"] = settings.fold
    done = Cohort(table, cohort.name)
    served = set(zip(done.labels, done.column("role"), strict=True))
    for label in cohort.classes:
        for part in ROLES:
            if (label, part) not in served:
                whose = sum(label in own for own in members.values())
                raise InputError(
                    f"{cohort.name}: class '{label}' has {cohort.counts[label]} image(s) of {whose} patient(s), and "
                    f"none falls to the role '{part}'; at least {max(4, settings.folds)} patients a class are needed, "
                    "or a manifest with a role column that covers every class"
                )
    return done


def _given(cohort: Cohort) -> dict[str, str]:
    """The role each patient came with; InputError where one came with two, or some have none."""
    words = cohort.column("role")
    if not any(words):
        return {}
    known = (*ROLES, VALIDATION)
    given: dict[str, str] = {}
    for who, word, path in zip(cohort.patients, words, cohort.column("path"), strict=True):
        if word not in known:
            raise InputError(f"{cohort.name}: the role of {path} is '{word}'; it must be one of {', '.join(known)}")
        if given.setdefault(who, word) != word:
            raise InputError(
                f"{cohort.name}: patient '{who}' is in two roles, {given[who]} and {word}; give each patient one"
            )
    return given


def summary(cohort: Cohort) -> dict[str, dict[str, list[int]]]:
    """Images and patients per class and role."""
    frame = {"label": cohort.labels, "role": cohort.column("role"), "patient": cohort.patients}
    rows = list(zip(*frame.values(), strict=True))
    return {
        label: {
            part: [
                sum(1 for own, role, _ in rows if (own, role) == (label, part)),
                len({who for own, role, who in rows if (own, role) == (label, part)}),
            ]
            for part in ROLES
        }
        for label in cohort.classes
    }


def duplicates(cohort: Cohort) -> dict[str, int]:
    """Images whose pixels another image has too: within one role, and across roles."""
    roles: dict[str, list[str]] = {}
    for key, part in zip(cohort.column("sha256"), cohort.column("role"), strict=True):
        roles.setdefault(key, []).append(part)
    across = sum(1 for parts in roles.values() if len(set(parts)) > 1)
    within = sum(count - 1 for parts in roles.values() for count in Counter(parts).values())
    return {"within": within, "across": across}
