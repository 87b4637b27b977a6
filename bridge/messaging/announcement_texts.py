"""The texts of reminders and of messages after missed calls.

Pure data by ISO 639-1; a language without a text gets the English one. {name} is the
business. The day and time, and the service, stand on a line of their own.
"""

REMINDER = {
    "ar": "تذكير من {name}: لديكم موعد غدًا.",
    "de": "Erinnerung von {name}: Sie haben morgen einen Termin.",
    "en": "A reminder from {name}: you have an appointment tomorrow.",
    "es": "Recordatorio de {name}: mañana tiene una cita.",
    "fr": "Rappel de {name} : vous avez rendez-vous demain.",
    "he": "תזכורת מ־{name}: יש לכם תור מחר.",
    "it": "Promemoria da {name}: domani ha un appuntamento.",
    "nl": "Herinnering van {name}: u heeft morgen een afspraak.",
    "pl": "Przypomnienie od {name}: jutro mają Państwo wizytę.",
    "pt": "Lembrete de {name}: tem uma marcação amanhã.",
    "ru": "Напоминание от {name}: завтра у вас запись.",
    "tr": "{name} hatırlatması: yarın randevunuz var.",
    "uk": "Нагадування від {name}: завтра у вас запис.",
}
CHANGE = {
    "ar": "لتغيير الموعد أو إلغائه، أجيبوا هنا.",
    "de": "Zum Verschieben oder Absagen antworten Sie einfach hier.",
    "en": "To move or cancel it, just answer here.",
    "es": "Para cambiarla o cancelarla, responda aquí.",
    "fr": "Pour le déplacer ou l'annuler, répondez ici.",
    "he": "כדי לשנות או לבטל, פשוט השיבו כאן.",
    "it": "Per spostarlo o annullarlo risponda qui.",
    "nl": "Verzetten of afzeggen? Antwoord gewoon hier.",
    "pl": "Aby zmienić lub odwołać termin, proszę odpowiedzieć tutaj.",
    "pt": "Para mudar ou cancelar, responda aqui.",
    "ru": "Чтобы перенести или отменить, просто ответьте здесь.",
    "tr": "Değiştirmek veya iptal etmek için buradan yanıt verin.",
    "uk": "Щоб перенести або скасувати, просто дайте відповідь тут.",
}
MISSED_CALL = {
    "ar": "مرحبًا، هنا {name}. نعتذر لعدم تمكننا من الرد على مكالمتكم. كيف يمكننا "
    "مساعدتكم؟ يمكنكم الرد هنا.",
    "de": "Guten Tag, hier ist {name}. Leider konnten wir Ihren Anruf nicht "
    "annehmen. Wie können wir helfen? Sie können hier antworten.",
    "en": "Hello, this is {name}. Sorry we missed your call. How can we help? You "
    "can answer here.",
    "es": "Hola, somos {name}. Lamentamos no haber podido atender su llamada. ¿En "
    "qué podemos ayudarle? Puede responder aquí.",
    "fr": "Bonjour, ici {name}. Désolé, nous n'avons pas pu répondre à votre appel. "
    "Comment pouvons-nous vous aider ? Vous pouvez répondre ici.",
    "he": "שלום, כאן {name}. מצטערים שלא ענינו לשיחה שלכם. איך אפשר לעזור? אפשר "
    "להשיב כאן.",
    "it": "Buongiorno, qui {name}. Ci dispiace di non aver risposto alla sua "
    "chiamata. Come possiamo aiutarla? Può rispondere qui.",
    "nl": "Hallo, dit is {name}. Sorry dat we uw oproep hebben gemist. Hoe kunnen we "
    "helpen? U kunt hier antwoorden.",
    "pl": "Dzień dobry, tu {name}. Przepraszamy, nie odebraliśmy Państwa telefonu. W "
    "czym możemy pomóc? Można odpowiedzieć tutaj.",
    "pt": "Olá, aqui {name}. Lamentamos não ter atendido a sua chamada. Como podemos "
    "ajudar? Pode responder aqui.",
    "ru": "Здравствуйте, это {name}. Извините, что не ответили на ваш звонок. Чем мы "
    "можем помочь? Можно ответить здесь.",
    "tr": "Merhaba, {name}. Aramanıza yanıt veremediğimiz için üzgünüz. Nasıl "
    "yardımcı olabiliriz? Buradan yanıt verebilirsiniz.",
    "uk": "Вітаю, це {name}. Вибачте, що не відповіли на ваш дзвінок. Чим ми можемо "
    "допомогти? Можна відповісти тут.",
}
