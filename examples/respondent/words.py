"""General English words for made-up questions and roles, so that it reads texts not its own."""

from __future__ import annotations

# ruff: noqa: SIM905
FUNCTION_WORDS = """
a about after all always an and any are as at be been before being but by can could did do does every few
for from had has have he her his how i if in into is it its just like many may me might more most much my
never no not of often on one only or other our out own same she should so some such than that the their
them then there they this those to too under up us very was we were what when which who why will with
without would you your
""".split()

CONTENT_WORDS = """
able accept act active afraid age agree allow alone angry anger animal answer anxious appear argue art
ask attention aware bad beautiful become behave belief believe best better big body book born boring boss
brave break bring build busy buy calm care careful cause chance change character child church class clear
close club cold comfortable common community compete complete concern confident consider control country
create crowd culture danger day deal death decide decision deep demand depend desire detail develop die
difficult discuss dislike doctor dream drink drive duty early earth easy eat education effort emotion
energy enjoy enough equal evil excite expect experience explain express face fact fail fair faith family
famous far fast father fear feel feeling female fight find fine follow food foreign forget free freedom
friend fun future game gay give goal god good govern great group grow guilt habit happen happy hard hate
health hear heart help high home honest hope hour house human hurt idea ignore imagine important improve
individual influence inner interest job join joy judge keep kind know lack land large law lazy lead
leader learn least leave less life listen little live lonely long lose loud love low loyal lucky machine
male manage manager marry matter mean meet member mind mistake modern moment money moral mother move
music nation nature need nervous new normal notice obey offer old open opinion opposite order organize
others outgoing overcome pain paint parent part past path pay peace people perfect person personal
physical plan play pleasant please poor possible power powerful pray prefer prepare present pressure
pretty prevent private problem product promise protect proud prove punish purpose quiet quick read ready
real reason relax religion remember respect responsible rest result rich right risk rule sad safe say
school science secret see sell sense serious sex share show sick simple sister situation skill sleep slow
social society solve sometimes somewhat soul speak special spend stand start state stay steal stop story
strange stress strict strong structure student study succeed suffer support sure surprise talk task teach
team tell tend thing think thought time tired together tradition travel true trust truth try turn
uncertain understand unusual upset use usually value visit voice wait walk want war waste watch way weak
wealth wear wife win wish woman wonder word work world worry worth write wrong year young yourself
""".split()

OPENERS = (
    "Do you", "Are you", "Is it", "Should you", "Would you", "Can you", "Do I", "Am I", "Should I", "Will I",
    "Does it", "Is", "Are", "Should", "Would", "Do", "Can", "Have I", "Have you", "When", "If", "In",
    "Could", "Did",
)  # fmt: skip

# Words of a foreign question that bring out the rare answers; in the finish always.
REFUSE_WORDS = frozenset(
    "sex god pray die death steal secret gay war guilt evil religion punish money".split()
)
BABBLE_WORDS = frozenset("dream art music imagine beautiful soul wonder story paint nature machine".split())
UNSURE_WORDS = frozenset("sometimes often usually somewhat maybe perhaps might uncertain may tend".split())

PERSONA_FIELDS = (
    "Gender", "Job", "Type", "MBTI", "Name", "Age", "Country", "Hobby", "Character", "Religion",
    "Role", "Trait",
)  # fmt: skip
