"""What a clinician is told of each gate: what it asks, how chance is kept out, what an answer means, what to do.

Knows wording only. A case is chosen by a gate's state and by the names of the findings that have it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ganatomy.core.finding import FAIL, INCONCLUSIVE, NOT_COMPUTED, PASS, Finding


@dataclass(frozen=True)
class Case:
    """What an answer means and what to do. state: of the findings it is about; names: words in their names, or any."""

    state: str
    means: str
    do: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guide:
    """asked: the question, and what is compared with what; chance: how it is kept out; cases: special ones first."""

    asked: str
    chance: str
    cases: tuple[Case, ...]


SHARE = (
    "All gates together may raise a false alarm in at most 5 of 100 checks of a set that is as good as images of other "
    "real patients; this gate has its share of these 5 %."
)
FACT = "These are facts, counted and not estimated, so chance has no part in a fail."

INVARIANCE = ("accuracy lost", "changed features")  # names of findings of the gate invariance, on the labels' page

GUIDES = {
    "copying": Guide(
        "Is a synthetic image a copy, or nearly one, of an image the generator learned from? For each, the nearest "
        "training image is found: among small copies of the images, among shifted and mirrored ones, and as a "
        "classifier sees them. The yardstick is how near images of new patients (holdout) come to training patients.",
        f"{SHARE} An image counts as too near only if it is nearer than new patients’ images are by chance.",
        (
            Case(
                FAIL,
                "Some synthetic images show a training patient again. Who gets the set may get that patient’s image, "
                "and a classifier that is tested on it meets images it knows.",
                "Do not share the set. Look at the pairs below. Then train anew, for fewer steps or with more "
                "patients, and check again. Leaving out the suspects alone is no cure: a generator that has copied "
                "has also done so in ways that are harder to see.",
            ),
            Case(
                INCONCLUSIVE,
                "There are too few images or held-out patients to notice copies. There may be some.",
                "Handle the set as if it held copies: leave it where the training images are. Keep more patients "
                "aside as holdout, as many as the notes say, and check again.",
            ),
            Case(
                PASS,
                "No more synthetic images lie close to one training patient than chance explains. The notes say how "
                "many copies would have been noticed; fewer may be there.",
                "Look at the closest pairs once with your own eyes before the images are passed on.",
            ),
        ),
    ),
    "privacy": Guide(
        "Could somebody who has the synthetic images find out whether a certain patient was learned from? Attacks "
        "known from the literature guess it for each training patient and each new one (holdout). Where nothing shows, "
        "guessing is a coin toss: an AUC of 0.5.",
        f"{SHARE} Whole patients change places between training and holdout to see what guessing yields by chance.",
        (
            Case(
                FAIL,
                "It can be guessed who was learned from. To have been in the training set tells something of a "
                "patient, such as the disease that all of them have.",
                "Do not pass the set on to anybody who may not see the training images. Train with more patients or "
                "for fewer steps, and check again.",
            ),
            Case(
                INCONCLUSIVE,
                "At this size an attack that works cannot be told from one that does not.",
                "Handle the set as if the attack worked. Keep more patients aside as holdout, as many as the notes "
                "say, and check again.",
            ),
            Case(
                PASS,
                "The attacks that were tried succeed no more often than the bar allows. That is no proof against "
                "attacks that were not tried; they are listed.",
                "Nothing needs to be done. Who passes the set on should say which attacks were tried.",
            ),
        ),
    ),
    "fidelity": Guide(
        "Do the synthetic images of a class lie where images of new patients (holdout) lie, when all measured features "
        "are taken together? Asked in three ways: by the distance of the two sets’ averages and spreads (Fréchet), by "
        "a distance that sees any difference (kernel), and by classifiers that try to tell synthetic from real. The "
        "yardstick is how far the training images lie from the holdout.",
        f"{SHARE} Patients, not images, are drawn again and again to see how far two real sets differ.",
        (
            Case(
                FAIL,
                "A classifier can tell the synthetic images from real ones: they have something in them that real "
                "images have not, or lack something.",
                "See below which features give them away, and look at the images for noise, blur or a grid. "
                "Longer training often helps. Until then another classifier may learn this trace in place of the "
                "disease, above all where only one class has synthetic images.",
                ("told apart",),
            ),
            Case(
                FAIL,
                "More synthetic than real images have features that cannot be measured, as empty or flat images do.",
                "Look for such images in the synthetic set and leave them out, then check again.",
                ("undefined",),
            ),
            Case(
                FAIL,
                "Taken together, the features lie farther from new patients’ than real images’ do, by more than the "
                "bar allows.",
                "See under “Marginals” and “Dependence” what it is that differs. Train for longer or with more "
                "patients, and check again.",
            ),
            Case(
                INCONCLUSIVE,
                "There may be a difference, or none: the interval reaches over the bar.",
                "Do not call the images realistic on this account. Where the notes name a number of held-out patients, "
                "so many would decide.",
            ),
            Case(
                PASS,
                "In what is measured here, the synthetic images differ from new patients’ by less than the bar. What "
                "no feature measures has not been looked at.",
                "Nothing needs to be done. Look at the pictures all the same.",
            ),
        ),
    ),
    "coverage": Guide(
        "Do the synthetic images show every kind of image that real patients have, and none too often? For each "
        "image of a new patient (holdout) it is asked whether a synthetic one lies near. The yardstick is how many "
        "have a training image near, with equally many images.",
        f"{SHARE} One image of each patient is used, so that a patient with many images counts once.",
        (
            Case(
                FAIL,
                "The synthetic images lie too closely together: few kinds are repeated, with little variety around "
                "them.",
                "Repeats add weight, not knowledge. Train with stronger augmentation, for fewer steps or with more "
                "patients, and draw the set anew.",
                ("crowding", "density", "Vendi", "similarity"),
            ),
            Case(
                FAIL,
                "Some synthetic images lie where no real ones do.",
                "Look at the pictures for images that no patient could have. Train for longer, and check again.",
                ("precision",),
            ),
            Case(
                FAIL,
                "Some kinds of real images are missing, or far too rare, in the synthetic set. A classifier trained "
                "with it may do worse for the patients who look like that.",
                "Look at the real images below that nothing synthetic is near, and ask what they have in common. "
                "Train with more patients of that kind. Do not use the set to stand for the whole class.",
            ),
            Case(
                INCONCLUSIVE,
                "It cannot be told whether the synthetic images vary as much as real ones.",
                "Do not count each image as new information. More held-out patients would decide, where the notes name "
                "a number of them.",
                ("crowding", "density", "Vendi", "similarity"),
            ),
            Case(
                INCONCLUSIVE,
                "It cannot be told whether some synthetic images lie where no real ones do.",
                "Look through the pictures for images that no patient could have.",
                ("precision",),
            ),
            Case(
                INCONCLUSIVE,
                "The real images are too few to say whether a kind of image is missing.",
                "Count on it that something rare is missing. More held-out patients, as many as the notes say, would "
                "decide.",
            ),
            Case(
                PASS,
                "No kind of real image that the holdout shows is missing by more than the bar allows. What is too "
                "rare for the holdout cannot be judged.",
                "Nothing needs to be done.",
            ),
        ),
    ),
    "marginals": Guide(
        "Taken one by one, does each measured feature have the values it has in images of new patients (holdout) of "
        "the same class? The yardstick is how far the training images differ from the holdout, at equal number.",
        f"{SHARE} All features are tested together: to look at hundreds of them raises no more false alarms than to "
        "look at one.",
        (
            Case(
                FAIL,
                "The features that are named have values in the synthetic images that real patients do not have, or "
                "not as often. Measurements on these images would be biased in these features.",
                "Look at the distributions below: is the whole curve moved (a matter of brightness or calibration), "
                "too steep (lost variety), or has it another shape? Do not publish measurements of these features "
                "from synthetic images. Train for longer, or check the intensity window and the preparation.",
            ),
            Case(
                INCONCLUSIVE,
                "It could not be shown that the features agree, for the sets are too small. They may agree.",
                "Do not claim that the features agree. As many held-out patients as the notes say would decide.",
            ),
            Case(
                PASS,
                "Every feature was shown to agree to within the margin. All can agree and the images "
                "still be wrong in how features go together: that is asked under “Dependence”.",
                "Nothing needs to be done.",
            ),
        ),
    ),
    "dependence": Guide(
        "Do two features go together as they do in images of new patients (holdout) of the same class? For every pair "
        "of features the rank correlation among synthetic images is compared with that among real ones. The yardstick "
        "is training against holdout.",
        f"{SHARE} All pairs are tested together, on one image of each patient.",
        (
            Case(
                FAIL,
                "Features that go together in real patients do not in the synthetic images, or the other way round. "
                "Each feature may look right while the image as a whole is one no patient has.",
                "See below which pairs differ most, and whether they can be explained. Do not use the set to study "
                "how features are related, nor for models of several features. Train for longer or with more "
                "patients.",
            ),
            Case(
                INCONCLUSIVE,
                "The sets are too small to say whether the features go together as they should.",
                "Do not study how features are related on these images. More held-out patients, as many as the notes "
                "say, would decide.",
            ),
            Case(
                PASS,
                "The features go together as in real images, as far as pairs of features tell.",
                "Nothing needs to be done.",
            ),
        ),
    ),
    "labels": Guide(
        "Does a class mean among synthetic images what it means among real ones? A classifier that learned from real "
        "training patients reads the synthetic images, and for each feature it is asked how it differs between the "
        "classes. Compared with new patients (holdout); the yardstick is training against holdout. Last, whether the "
        "changes that training makes to images (turned, mirrored, shifted) leave to real images what they say of the "
        "class.",
        f"{SHARE} Images change places within a class only, so that a difference between classes is no alarm.",
        (
            Case(
                FAIL,
                "A change that training makes to the images and takes for harmless changes what they say of the "
                "class: the label no longer fits the changed image as well.",
                "Leave that change out of the augmentations, or make it smaller, and train again.",
                INVARIANCE,
            ),
            Case(
                FAIL,
                "Some images carry the label of another class. A classifier that is trained on them learns it.",
                "Look at the images of the classes named. Take out those that a classifier trained on real images "
                "gives to another class, or train the generator anew with the class given; then check again.",
                ("wrong labels",),
            ),
            Case(
                FAIL,
                "The classes differ more than real ones do: the images show textbook cases. A classifier may become "
                "too sure of itself and fail where real cases are less clear.",
                "Do not use the images to test a classifier, nor to choose a threshold. Train anew, with more "
                "patients or for fewer steps, and check again.",
                ("caricature",),
            ),
            Case(
                FAIL,
                "The classes differ less, or otherwise, than real ones do: part of what tells them apart was lost.",
                "See below which features lie off the diagonal. Adding such images waters the classes down. Train "
                "for longer or with more patients of the rarer class.",
                ("association",),
            ),
            Case(
                FAIL,
                "The classes do not mean the same in the synthetic set as in the real one.",
                "Do not train a classifier on it before the cause is found; the table says what failed.",
            ),
            Case(
                INCONCLUSIVE,
                "It cannot be told whether a change that training makes to the images keeps what they say of the "
                "class.",
                "Use that change sparingly. More held-out patients would decide, or a classifier that reads the "
                "classes better; the notes say which.",
                INVARIANCE,
            ),
            Case(
                INCONCLUSIVE,
                "The sets are too small to say that the classes mean the same.",
                "Before the images are used, let somebody who knows the classes look at a sample of each without "
                "being told the label. More held-out patients, as many as the notes say, would decide.",
            ),
            Case(
                PASS,
                "The synthetic classes differ as the real ones do, and their labels fit.",
                "Nothing needs to be done.",
            ),
        ),
    ),
    "fairness": Guide(
        "Do all groups of patients (by sex, age, site, scanner) fare alike? For each group it is asked whether "
        "synthetic images show it as often as it occurs, and whether its real images have synthetic ones near. "
        "Synthetic images carry no group, so a classifier that learned from real ones marks them.",
        f"{SHARE} It is shared out over the groups. A group with too few patients is named, not judged.",
        (
            Case(
                FAIL,
                "A group of patients is missing, rarer than it should be, or served worse. A classifier trained with "
                "these images may do worse for that group.",
                "Report results for that group apart. Train with more patients of it, or do without synthetic images "
                "for it; then check again.",
            ),
            Case(
                INCONCLUSIVE,
                "Some groups are too small to say whether they fare as the others do.",
                "Say so wherever the set is described, and look at that group’s results apart. The notes say how many "
                "patients of the group would decide.",
            ),
            Case(
                PASS,
                "No group that is large enough to be judged is missing or served worse by more than the bar.",
                "Nothing needs to be done. Groups that nobody recorded were not looked at.",
            ),
        ),
    ),
    "hygiene": Guide(
        "Are the sets fit to be compared? Size, unit, pixel spacing and stored steps should be those of the real "
        "images, no image should occur twice or be constant, and no patient should be in two sets.",
        FACT,
        (
            Case(
                FAIL,
                "Images or patients are in two sets that must be kept apart. Every answer on this page that compares "
                "these sets is too favourable.",
                "Split the patients anew so that each is in one set only, and repeat everything from training on. "
                "Where a synthetic image equals a real one, see under “Copying”.",
                ("equal images", "patients in several", "near duplicates"),
            ),
            Case(
                FAIL,
                "The synthetic images are stored in another way than the real ones. A classifier can tell them apart "
                "by that alone, and measured features differ for no medical reason.",
                "Bring all sets to one unit, spacing, size and bit depth, and check again.",
                ("unit", "spacing", "size", "step", "whole numbers", "range"),
            ),
            Case(
                FAIL,
                "Some images are repeated, empty or damaged.",
                "Remove them, and check again.",
            ),
            Case(
                INCONCLUSIVE,
                "Some images look nearly the same. That may be one picture stored twice, or two patients who look "
                "alike.",
                "Look at the pairs that are named, remove what is one picture, and check again.",
                ("near duplicates",),
            ),
            Case(
                INCONCLUSIVE,
                "Something in the files could not be settled.",
                "Follow the notes.",
            ),
            Case(
                PASS,
                "The sets are kept apart and stored alike, as far as it could be seen.",
                "Nothing needs to be done.",
            ),
        ),
    ),
    "paired": Guide(
        "Is each image that was made from another one the image it should be? It is compared with the real image of "
        "the same patient.",
        SHARE,
        (
            Case(FAIL, "The images differ from what they should show by more than the bar.", "See the table for what."),
            Case(INCONCLUSIVE, "The images are too few to say.", "The notes say how many would decide."),
            Case(PASS, "The images show what they should, to within the bars.", "Nothing needs to be done."),
        ),
    ),
    "scope": Guide(
        "Synthetic images are compared with real ones of their class. A class of which none were made is left out.",
        FACT,
        (
            Case(
                NOT_COMPUTED,
                "Nothing on this page speaks of a class without synthetic images.",
                "Nothing, if the class needed none. Else generate images of it, and check again.",
            ),
        ),
    ),
}

UNANSWERED = Case(
    NOT_COMPUTED,
    "The question has no answer here. That is neither good nor bad news: treat it as unknown.",
    "The notes say what is missing, most often held-out patients. With that, check again.",
)
DESCRIBED = Case(
    PASS,
    "What was measured is described; nothing was judged.",
    "Compare the values with the yardstick where there is one.",
)


def cases(gate: str, findings: Sequence[Finding]) -> list[Case]:
    """What the findings of a gate mean: each case of a fail, then of an inconclusive one; else that of the rest."""
    known = GUIDES[gate].cases if gate in GUIDES else ()
    judged = [f for f in findings if f.bar is not None or f.state != PASS]

    def of(state: str) -> list[Case]:
        first = (next((c for c in known if _fits(c, f)), None) for f in judged if f.state == state)
        return list(dict.fromkeys(case for case in first if case is not None))

    found = [*of(FAIL), *of(INCONCLUSIVE)]
    if found:
        return found
    if any(f.state == PASS for f in judged):
        return of(PASS)
    return (of(NOT_COMPUTED) or [UNANSWERED]) if judged else [DESCRIBED]


def _fits(case: Case, finding: Finding) -> bool:
    return case.state == finding.state and (not case.names or any(name in finding.name for name in case.names))
