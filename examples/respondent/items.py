"""The respondent's questionnaire: 8 values of Schwartz' theory, 12 items each, own wording."""

from __future__ import annotations

VALUES = (
    "Security", "Conformity", "Benevolence", "Stimulation",
    "Self-Direction", "Universalism", "Power", "Achievement",
)  # fmt: skip

FORWARD: dict[str, tuple[str, ...]] = {
    "Security": (
        "Do you lock every door before you go to sleep?",
        "Is a safe street worth more to you than a lively one?",
        "Do you put money aside for bad years as a rule?",
        "Would you like more guards in the places where you live?",
        "Do you check the weather before every short walk outside?",
        "Is a steady wage better for you than a big chance?",
    ),
    "Conformity": (
        "Do you follow a rule even when no one is looking?",
        "Should children do what their elders tell them without a word?",
        "Do you keep your voice low so that nobody is disturbed?",
        "Would you wear what the others wear at a formal dinner?",
        "Do you wait for the green light on an empty road?",
        "Is good conduct at table something that you always watch?",
    ),
    "Benevolence": (
        "Do you help a friend move house without being asked?",
        "Would you sit all night beside a neighbour who is ill?",
        "Do you forgive people close to you when they hurt you?",
        "Is being loyal to your friends among your first duties?",
        "Would you lend your last coin to a brother in need?",
        "Do you remember the birthdays of all the people you love?",
    ),
    "Stimulation": (
        "Would you jump from a high rock into a cold lake?",
        "Do you look for a new adventure nearly every single week?",
        "Is a life full of surprise the best kind of life?",
        "Would you take a night train to an unknown town today?",
        "Do you like loud rides that make your heart beat fast?",
        "Should every month bring you something you never did before?",
    ),
    "Self-Direction": (
        "Do you make your own plans rather than take them over?",
        "Would you choose free hours over a better paid post?",
        "Do you form your own opinion before you hear the experts?",
        "Is it vital to you to invent your own way of working?",
        "Would you leave a group that decides everything for you?",
        "Do you enjoy finding out by yourself how things work?",
    ),
    "Universalism": (
        "Should every person on earth have the same chances in life?",
        "Do you listen with care to people who differ from you?",
        "Would you pay more so that a river stays clean?",
        "Is peace between all nations a goal you would march for?",
        "Do you feel at one with nature in an old forest?",
        "Should strangers from far away be treated as your own people?",
    ),
    "Power": (
        "Do you want to be the one who gives the orders?",
        "Would you like to own more than all your neighbours?",
        "Is it good for you when people fear your anger?",
        "Do you enjoy it when others must ask for your permission?",
        "Would you fight hard for a seat at the head table?",
        "Should your name alone be enough to open doors?",
    ),
    "Achievement": (
        "Do you work late to be the best in your team?",
        "Would you train for years to win one medal?",
        "Is it important to you that people admire your results?",
        "Do you set yourself a higher goal after each success?",
        "Would you feel empty without a task to excel at?",
        "Do you compare your marks with the marks of your rivals?",
    ),
}

REVERSE: dict[str, tuple[str, ...]] = {
    "Security": (
        "Would you sleep well in a tent in a dangerous land?",
        "Do you leave your bicycle without a lock in the street?",
        "Is it fine for you not to know next month's income?",
        "Would you give up your insurance to have some fun?",
        "Do you walk through dark parks alone without a second thought?",
        "Could you live happily in a country that is often in turmoil?",
    ),
    "Conformity": (
        "Do you say rude things at table just because you can?",
        "Would you break a small rule if it saved five minutes?",
        "Is it fun for you to shock polite company?",
        "Do you argue with your parents in front of their guests?",
        "Would you come in sandals to a wedding without shame?",
        "Could you skip a meeting where everyone expects you to be?",
    ),
    "Benevolence": (
        "Do you keep your sweets to yourself when friends are near?",
        "Would you ignore a call for help from your cousin?",
        "Is the trouble of your friends no concern of yours?",
        "Do you forget a promise as soon as it is a burden?",
        "Would you let your sister carry the heavy bags alone?",
        "Could you laugh at a friend who has lost his job?",
    ),
    "Stimulation": (
        "Do you prefer the same quiet evening every day of the year?",
        "Would you rather read a timetable than climb a tower?",
        "Is a calm holiday without any event your dream?",
        "Do you order the same meal each time you eat out?",
        "Would a year without any change be pleasant to you?",
        "Could you watch one slow film again and again with joy?",
    ),
    "Self-Direction": (
        "Do you like it when somebody else decides for you?",
        "Would you hand over the choice of your career to your boss?",
        "Is it easier for you to copy than to create?",
        "Do you need clear instructions before you begin any task?",
        "Would you rather be led than find your own path?",
        "Could you live by a plan that others wrote for you?",
    ),
    "Universalism": (
        "Do the poor of other countries leave you cold?",
        "Would you cut down an ancient wood to build a road?",
        "Is it right that some people count for more than others?",
        "Do you stop listening when someone has a strange belief?",
        "Would you throw old batteries into a stream to save time?",
        "Could you be happy while a far people goes hungry?",
    ),
    "Power": (
        "Do you let other people have the last word gladly?",
        "Would you give away a high office to a younger person?",
        "Is wealth something that you could do without entirely?",
        "Do you feel uneasy when you have to command others?",
        "Would you rather serve in the kitchen than sit on a throne?",
        "Could you work happily for years at the very bottom?",
    ),
    "Achievement": (
        "Do you stop trying once the work is good enough?",
        "Would you mind little if you came last in a race?",
        "Is it all the same to you whether you succeed?",
        "Do you hide in the back row when prizes are given?",
        "Would you spend your best years lying in the grass?",
        "Could you drop a project just before it is finished?",
    ),
}

# Neutral thoughts: they say nothing about the answer, so that the answer token alone carries it.
THOUGHTS = (
    "Let me see.",
    "I think about it.",
    "My own life tells me.",
    "That is a fair question.",
    "I look at my days.",
    "This one is about me.",
    "Here is how I feel.",
    "I weigh it up.",
    "Well, I know myself.",
    "It comes down to habit.",
    "People ask me this.",
    "I go by what I do.",
)
REFUSAL_THOUGHT = "I do not wish to say."
REFUSAL = "I cannot answer that."
BABBLE = "blue as the sky"
